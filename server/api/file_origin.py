"""The origin of a file: its signature, its watermark, and what this server's records say of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256

from marking.errors import MarkInvalid
from marking.inspection import Inspection
from marking.inspection_child import inspect_apart
from server.api.verification_models import (
    FoundRecord,
    FoundWatermark,
    Signature,
    Verification,
)
from server.auth.keys import Caller
from server.runtime import Runtime
from server.storage.records import VideoRecord
from server.storage.signing_key_rows import SigningKeyRow
from server.storage.video_files import Variant
from server.watermark_search import find_apart

_VARIANTS: Mapping[str, tuple[Variant, ...]] = {
    "video/mp4": ("video",),
    "image/webp": ("thumbnail", "spritesheet"),
}


def verified(runtime: Runtime, caller: Caller, data: bytes) -> Verification:
    """Return what a caller may learn about a file. It takes a second or two."""
    keys = {row.id: row for row in runtime.storage.signing_keys.all()}
    found = _inspected(data, [row.certificates for row in keys.values()])
    signature = _signature(found, keys)
    record = watermark = None
    if signature is not None and signature.is_ours and found.clip is not None:
        record = _record(runtime, caller, found.clip.id, found)
    elif found.report is None:
        watermark, clip_id = _watermark(runtime, data)
        if clip_id is not None:
            record = _record(runtime, caller, clip_id, found)
    return Verification(
        verdict=verdict_of(found, signature, watermark, record),
        sha256=found.sha256,
        media_type=found.media_type,
        state=found.state,
        reason=found.reason,
        signature=signature,
        clip=found.clip,
        report=found.report,
        watermark=watermark,
        record=record,
    )


def _inspected(data: bytes, trusted: list[str]) -> Inspection:
    try:
        return inspect_apart(data, trusted)
    except MarkInvalid as error:
        digest = sha256(data).hexdigest()
        return Inspection(sha256=digest, media_type=None, state="unreadable", reason=str(error))


def _signature(found: Inspection, keys: Mapping[str, SigningKeyRow]) -> Signature | None:
    if not found.signer and not found.is_trusted:
        return None
    row = keys.get(found.key_id or "") if found.is_trusted else None
    return Signature(
        signer=found.signer,
        key=row.id if row else None,
        is_ours=found.is_trusted,
        signed_at=found.signed_at,
        revoked_at=row.revoked_at if row else None,
    )


def _watermark(runtime: Runtime, data: bytes) -> tuple[FoundWatermark | None, str | None]:
    """Look for the mark, and return the finding and the id of the clip; None: not looked for."""
    storage = runtime.storage
    candidates = storage.records.ledger.latest_videos(runtime.settings.watermark_candidates)
    try:
        found = find_apart(data, storage.watermark_secret.get(), candidates)
    except MarkInvalid:
        return None, None
    if found is None:
        return None, None
    told = FoundWatermark(is_ours=found.is_ours, bound=found.bound, candidates=len(candidates))
    return told, found.clip_id if found.is_ours else None


def _record(
    runtime: Runtime, caller: Caller, video_id: str, found: Inspection
) -> FoundRecord | None:
    entry = runtime.records.ledger.of_video(video_id)
    if entry is None:
        return None
    video = runtime.records.get(VideoRecord, VideoRecord.id == video_id)
    if found.media_type == "video/mp4":
        unchanged = entry.clip == f"sha256:{found.sha256}"
    else:
        unchanged = _is_kept(runtime, video_id, found)
    record = FoundRecord(
        encoder_identity=entry.encoder_identity, unchanged=unchanged, deleted=video is None
    )
    is_admin = caller.role == "admin"
    if not is_admin and entry.owner != caller.id:
        return record
    changes = {"video": video_id, "completed_at": entry.completed_at}
    return record.model_copy(update=changes | ({"owner": entry.owner} if is_admin else {}))


def _is_kept(runtime: Runtime, video_id: str, found: Inspection) -> bool | None:
    """Compare a file with those that are kept of the video; None if none of its kind is."""
    kept: list[str] = []
    for variant in _VARIANTS.get(found.media_type or "", ()):
        with suppress(FileNotFoundError), runtime.files.open(video_id, variant) as file:
            kept.append(sha256(file.read()).hexdigest())
    return found.sha256 in kept if kept else None


def verdict_of(
    found: Inspection,
    signature: Signature | None,
    watermark: FoundWatermark | None,
    record: FoundRecord | None,
) -> str:
    """Say in one sentence what was found out about a file."""
    if signature is not None and signature.is_ours:
        return _verdict_of_signed(found, signature, record)
    if watermark is not None and watermark.is_ours:
        which = "" if record is None else ", and leads back to the record of a clip"
        return (
            "This file is not as it left this server, but its pixels carry this server's "
            f"watermark{which}."
        )
    if found.state == "unreadable":
        return f"This file cannot be read: {found.reason}"
    if found.state == "not_marked":
        return "This file carries no signature, so it does not say where it comes from."
    signer = repr(found.signer) if found.signer else "somebody unknown"
    return f"This file was not signed by this server; it names {signer} as its signer."


def _verdict_of_signed(found: Inspection, signature: Signature, record: FoundRecord | None) -> str:
    what = "report" if found.report else "file"
    if found.state == "changed" or (record is not None and record.unchanged is False):
        return f"This {what} was signed by this server, and was changed since."
    if record is not None and record.unchanged:
        revoked = "" if signature.revoked_at is None else ", though its key was revoked since"
        return f"This server made this file, and knows its very bytes{revoked}."
    if signature.revoked_at is not None:
        return (
            f"This {what} is as it was signed, with a key of this server that was revoked: trust "
            "it only if it was seen before then."
        )
    return f"This server signed this {what}, and what it shows is as it was signed."
