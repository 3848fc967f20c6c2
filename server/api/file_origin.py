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
from server.storage.ledger_rows import LedgerRow
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
    watermark: FoundWatermark | None = None
    # The ledger knows every mp4's bytes, whatever became of the key that signed it.
    entry = runtime.records.ledger.of_clip(found.sha256)
    if entry is None and signature is not None and signature.is_ours:
        entry = _entry(runtime, found.clip.id) if found.clip is not None else None
    elif entry is None and found.report is None:
        watermark, clip_id = _watermark(runtime, caller, data)
        entry = None if clip_id is None else _entry(runtime, clip_id)
    record = None if entry is None else _record(runtime, caller, entry, found)
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


def _watermark(
    runtime: Runtime, caller: Caller, data: bytes
) -> tuple[FoundWatermark | None, str | None]:
    """Look for the mark, and return the finding and the id of the clip; None: not looked for."""
    storage = runtime.storage
    candidates = storage.records.ledger.latest_videos(runtime.settings.watermark_candidates)
    try:
        found = find_apart(data, storage.watermark_secret.get(), candidates)
    except MarkInvalid:
        return None, None
    if found is None:
        return None, None
    # How many clips a server has made is not for everybody.
    count = len(candidates) if caller.role == "admin" else None
    told = FoundWatermark(is_ours=found.is_ours, bound=found.bound, candidates=count)
    return told, found.clip_id if found.is_ours else None


def _entry(runtime: Runtime, video_id: str) -> LedgerRow | None:
    return runtime.records.ledger.of_video(video_id)


def _record(runtime: Runtime, caller: Caller, entry: LedgerRow, found: Inspection) -> FoundRecord:
    """Return what the caller may learn of a clip's record."""
    video = runtime.records.get(VideoRecord, VideoRecord.id == entry.video_id)
    if found.media_type in (None, "video/mp4"):
        unchanged = entry.clip == f"sha256:{found.sha256}"
    else:
        unchanged = None if video is None else _is_kept(runtime, video, found)
    record = FoundRecord(encoder_identity=entry.encoder_identity, unchanged=unchanged)
    is_admin = caller.role == "admin"
    if not is_admin and entry.owner != caller.id:
        return record
    changes: dict[str, object] = {
        "video": entry.video_id,
        "completed_at": entry.completed_at,
        "deleted": video is None,
    }
    if is_admin:
        changes["owner"] = entry.owner
    return record.model_copy(update=changes)


def _is_kept(runtime: Runtime, video: VideoRecord, found: Inspection) -> bool | None:
    """Compare a file with those that are kept of the video; None if none of its kind is."""
    kept: list[str] = []
    for variant in _VARIANTS.get(found.media_type or "", ()):
        with (
            suppress(FileNotFoundError),
            runtime.files.open(video.id, video.attempt, variant) as file,
        ):
            kept.append(sha256(file.read(0, file.size)).hexdigest())
    return found.sha256 in kept if kept else None


def verdict_of(
    found: Inspection,
    signature: Signature | None,
    watermark: FoundWatermark | None,
    record: FoundRecord | None,
) -> str:
    """Say in one sentence what was found out about a file, and no more than that."""
    if record is not None and record.unchanged:
        return "This server made this file, and knows its very bytes."
    if signature is not None and signature.is_ours:
        return _verdict_of_signed(found, signature, record)
    if watermark is not None and watermark.is_ours:
        which = "" if record is None else ", and leads back to the record of a clip"
        return (
            "This file is not as it left this server, but its pixels carry this server's "
            f"watermark{which}; a mark can be copied onto other pixels, so it proves no origin."
        )
    if found.state == "unreadable":
        return f"This file cannot be read: {found.reason}"
    if found.state == "not_marked":
        return "This file carries no signature, so it does not say where it comes from."
    if found.state == "changed" and not found.signer:
        return f"This file was changed after it was signed, by whomever: {found.reason}"
    signer = repr(found.signer) if found.signer else "somebody unknown"
    return f"This file was not signed by this server; it names {signer} as its signer."


def _verdict_of_signed(found: Inspection, signature: Signature, record: FoundRecord | None) -> str:
    what = "report" if found.report else "file"
    revoked = ""
    if signature.revoked_at is not None:
        revoked = (
            " The key was revoked: whoever has it may have signed this, so trust it only if it was "
            "seen before then."
        )
    if found.state == "changed" or (record is not None and record.unchanged is False):
        return f"This {what} was signed with a key of this server, and was changed since.{revoked}"
    return (
        f"This {what} was signed with a key of this server, and what it shows is as it was signed."
        f"{revoked}"
    )
