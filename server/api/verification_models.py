"""Models of the answers of `/v1/verify`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from marking.clip_statement import ClipStatement
from marking.inspection import State
from marking.report_statement import ReportFacts


class Signature(BaseModel):
    """The signature of a file."""

    signer: str
    """Name in the signer's certificate. It proves nothing unless `is_ours`."""
    key: str | None
    """The `sha256:…` of this server's certificate; null: another's."""
    is_ours: bool
    """True if a key of this server signed it."""
    signed_at: datetime | None
    """Time in the file's timestamp. Anybody can put any authority's there: it is not checked."""
    revoked_at: int | None
    """Time from which the key's signatures count for nothing; null: it was not revoked."""


class FoundWatermark(BaseModel):
    """The search for the server's watermark, where no signature leads to a record."""

    is_ours: bool
    """True if this server marked the pixels."""
    bound: float
    """Upper bound of the probability that pixels without the mark look as much like it."""
    candidates: int | None
    """Number of clips that it was compared with, the latest ones; for admins."""


class FoundRecord(BaseModel):
    """Record of the clip that a file shows."""

    encoder_identity: str | None
    """Identity of the encoder, or of the set of encoders; null: the base."""
    unchanged: bool | None
    """True if the file has the very bytes that this server made; null: it knows none any more."""
    deleted: bool | None = None
    """True if the video was deleted; for the key that had it made, and for admins."""
    video: str | None = None
    """Id of the video, for the key that had it made, and for admins."""
    owner: str | None = None
    """Id of that key, for admins."""
    completed_at: int | None = None
    """Time at which it was made, for the key that had it made, and for admins."""


class Verification(BaseModel):
    """Answer about a file."""

    object: Literal["verification"] = "verification"
    verdict: str
    """All of it in one sentence."""
    sha256: str
    """Of the file, in hex."""
    media_type: str | None
    """By the file's first bytes; null: it is no kind of file that this server signs."""
    state: State
    reason: str
    """Why it is not as it was signed."""
    signature: Signature | None = None
    clip: ClipStatement | None = None
    """The signed statement of a clip, thumbnail, sprite sheet, or a report's picture."""
    report: ReportFacts | None = None
    """The signed statement of a report's zip."""
    watermark: FoundWatermark | None = None
    record: FoundRecord | None = None
