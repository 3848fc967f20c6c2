"""Inspection: what a file says of itself, and whether that holds. Works offline, on its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict

from encoders.errors import PalimpsestError
from marking.clip_statement import ClipStatement
from marking.content_credentials import MediaType, read_media
from marking.errors import NotMarked
from marking.report_statement import ReportFacts
from marking.signed_zip import read_signed_zip

State = Literal["as_signed", "changed", "not_marked", "unreadable"]


class Inspection(BaseModel):
    """Findings about a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    """In hex."""
    media_type: MediaType | Literal["application/zip"] | None
    """By the file's first bytes; None: it is no kind of file that is signed here."""
    state: State
    reason: str = ""
    """Why it is not as it was signed."""
    signer: str = ""
    """Name in the signer's certificate, which proves nothing unless it is trusted."""
    key_id: str | None = None
    """`sha256:…` over the signer's certificate, if the reader knows it or the file holds it."""
    is_trusted: bool = False
    """True if the reader trusts the signer."""
    signed_at: datetime | None = None
    """Time in the file's timestamp. Anybody can put any authority's there: it is not checked."""
    clip: ClipStatement | None = None
    report: ReportFacts | None = None


def inspect(data: bytes, trusted: Sequence[str] = ()) -> Inspection:
    """Read what a file says of itself, and check it.

    Args:
        data: The file, which may be anything.
        trusted: Certificates in PEM, of signers or their authorities.
    """
    kind = _kind(data)
    found = Inspection(sha256=sha256(data).hexdigest(), media_type=kind, state="unreadable")
    if kind is None:
        reason = "It is neither an mp4, a webp, a png nor a zip."
        return found.model_copy(update={"reason": reason})
    try:
        changes = _zip(data, trusted) if kind == "application/zip" else _media(data, kind, trusted)
    except NotMarked as error:
        changes = {"state": "not_marked", "reason": str(error)}
    except PalimpsestError as error:
        # A signed zip that does not hold was changed; other files may be broken altogether.
        state = "changed" if kind == "application/zip" else "unreadable"
        changes = {"state": state, "reason": str(error)}
    return found.model_copy(update=changes)


def _media(data: bytes, kind: MediaType, trusted: Sequence[str]) -> dict[str, object]:
    read = read_media(data, kind, trusted)
    state: State = "changed" if read.problems else "as_signed"
    ended = "the signer's certificate has ended since" if read.is_expired else ""
    return {
        "state": state,
        "reason": ", ".join(read.problems) or ended,
        "signer": read.signer,
        "key_id": read.key_id,
        "is_trusted": read.is_trusted,
        "signed_at": read.signed_at,
        "clip": read.clip,
    }


def _zip(data: bytes, trusted: Sequence[str]) -> dict[str, object]:
    read = read_signed_zip(data, trusted)
    return {
        "state": "as_signed",
        "signer": read.signer,
        "key_id": read.key_id,
        "is_trusted": read.is_trusted,
        "report": read.facts,
    }


def _kind(data: bytes) -> MediaType | Literal["application/zip"] | None:
    if data[4:8] == b"ftyp":
        return "video/mp4"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    return "application/zip" if data[:2] == b"PK" else None
