"""Route `/v1/verify`: where a file comes from, and whether it is as it left this server."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from marking.clip_statement import ClipStatement
from marking.errors import MarkInvalid
from marking.inspection import Inspection, State
from marking.inspection_child import inspect_apart
from marking.report_statement import ReportFacts
from server.api.request_parsing import read_fields
from server.api.shared_work import SharedWork
from server.auth.guard import caller_of
from server.auth.keys import Caller
from server.errors import InvalidRequest
from server.runtime import Runtime, runtime_of
from server.storage.deleted_video_rows import DeletedVideoRow
from server.storage.records import VideoRecord
from server.storage.video_files import Variant

router = APIRouter(prefix="/v1/verify", tags=["verification"])

_VARIANTS: dict[str, tuple[Variant, ...]] = {
    "video/mp4": ("video",),
    "image/webp": ("thumbnail", "spritesheet"),
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


class Signature(BaseModel):
    """The signature of a file."""

    signer: str
    """Name in the signer's certificate. It proves nothing unless `is_ours`."""
    key: str | None
    """The `sha256:…` of this server's certificate; null: another's."""
    is_ours: bool
    """True if a key of this server signed it."""
    signed_at: datetime | None
    """Time by a timestamp authority, if the file has one's word for it."""
    revoked_at: int | None
    """Time from which the key's signatures count for nothing; null: it was not revoked."""


class FoundRecord(BaseModel):
    """Record of the clip that a file shows."""

    encoder_identity: str | None
    """Identity of the encoder, or of the set of encoders; null: the base."""
    unchanged: bool | None
    """True if the file has the very bytes that this server keeps; null: it keeps none any more."""
    deleted: bool
    video: str | None = None
    """Id of the video, for the key that had it made, and for admins."""
    owner: str | None = None
    """Id of that key, for admins."""
    created_at: int | None = None
    """Time of the request, for the key that had it made, and for admins."""


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
    record: FoundRecord | None = None


@router.post("", summary="Find out where a file comes from", openapi_extra=_FORM)
async def verify(request: Request) -> Verification:
    """Check the signature of a clip, a picture or a report's zip, and look for its record.

    The file is read in a process of its own, within limits of time and memory, and is not kept.
    """
    runtime, caller = runtime_of(request), caller_of(request)
    fields = await read_fields(request, max_files=1)
    data = await _content(fields)
    trusted = {row.id: row.certificates for row in runtime.storage.signing_keys.all()}
    work: SharedWork = request.app.state.verify_work
    digest = sha256(data).hexdigest()
    inspect = partial(_inspected, data, digest, tuple(trusted.values()))
    found = await work.result((digest, tuple(trusted)), caller.id, inspect)
    answer = partial(_answer, runtime, caller, found)
    return await work.result((digest, caller.id), caller.id, answer)


async def _content(fields: dict[str, Any]) -> bytes:
    for name in fields:
        if name != "file":
            raise InvalidRequest(f"There is no field {name[:40]!r}: send `file`.", param=name[:40])
    upload = fields.get("file")
    if not isinstance(upload, UploadFile):
        raise InvalidRequest("Send the file as `file` of a multipart form.", param="file")
    return await upload.read()


def _inspected(data: bytes, digest: str, trusted: tuple[str, ...]) -> Inspection:
    try:
        return inspect_apart(data, trusted)
    except MarkInvalid as error:
        return Inspection(sha256=digest, media_type=None, state="unreadable", reason=str(error))


def _answer(runtime: Runtime, caller: Caller, found: Inspection) -> Verification:
    """Return what a caller may learn about an inspected file."""
    signature = record = None
    if found.signer or found.is_trusted:
        rows = {row.id: row for row in runtime.storage.signing_keys.all()}
        row = rows.get(found.key_id or "") if found.is_trusted else None
        signature = Signature(
            signer=found.signer,
            key=row.id if row else None,
            is_ours=found.is_trusted,
            signed_at=found.signed_at,
            revoked_at=row.revoked_at if row else None,
        )
        if found.is_trusted and found.clip is not None:
            record = _record(runtime, caller, found.clip.id, found)
    return Verification(
        verdict=verdict_of(found, signature, record),
        sha256=found.sha256,
        media_type=found.media_type,
        state=found.state,
        reason=found.reason,
        signature=signature,
        clip=found.clip,
        report=found.report,
        record=record,
    )


def _record(
    runtime: Runtime, caller: Caller, video_id: str, found: Inspection
) -> FoundRecord | None:
    row: VideoRecord | DeletedVideoRow | None = runtime.records.get(
        VideoRecord, VideoRecord.id == video_id
    )
    deleted = row is None
    if row is None:
        row = runtime.storage.deleted_videos.get(video_id)
    if row is None:
        return None
    known = FoundRecord(
        encoder_identity=row.encoder_identity,
        unchanged=None if deleted else _is_unchanged(runtime, video_id, found),
        deleted=deleted,
    )
    is_admin = caller.role == "admin"
    if not is_admin and row.owner != caller.id:
        return known
    changes = {"video": row.id, "created_at": row.created_at}
    return known.model_copy(update=changes | ({"owner": row.owner} if is_admin else {}))


def _is_unchanged(runtime: Runtime, video_id: str, found: Inspection) -> bool | None:
    """Compare a file with those that are kept of the video; None if none of its kind is."""
    kept: list[str] = []
    for variant in _VARIANTS.get(found.media_type or "", ()):
        with suppress(FileNotFoundError), runtime.files.open(video_id, variant) as file:
            kept.append(sha256(file.read()).hexdigest())
    return found.sha256 in kept if kept else None


def verdict_of(found: Inspection, signature: Signature | None, record: FoundRecord | None) -> str:
    """Say in one sentence what was found out about a file."""
    if found.state == "unreadable":
        return f"This file cannot be read: {found.reason}"
    if found.state == "not_marked":
        return "This file carries no signature, so it does not say where it comes from."
    if signature is None or not signature.is_ours:
        signer = repr(found.signer) if found.signer else "somebody unknown"
        return f"This file was not signed by this server; it names {signer} as its signer."
    what = "report" if found.report else "file"
    if found.state == "changed" or (record is not None and record.unchanged is False):
        return f"This {what} was signed by this server, and was changed since."
    if record is not None and record.unchanged:
        revoked = "" if signature.revoked_at is None else ", though its key was revoked since"
        return f"This server made this file, and keeps the very bytes{revoked}."
    if signature.revoked_at is not None:
        return (
            f"This {what} is as it was signed, with a key of this server that was revoked: trust "
            "it only if it was seen before then."
        )
    return f"This server signed this {what}, and what it shows is as it was signed."
