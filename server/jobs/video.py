"""Video jobs: a clip from the engine becomes an mp4 that says how it was made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from marking.clip_statement import ClipStatement
from server import tracing
from server.jobs.context import JobContext
from server.jobs.job_spans import trace_parts
from server.jobs.made_with import ledger_draft, models_of
from server.jobs.served_clips import ServedClip
from server.jobs.signing import MediaSigner
from server.jobs.watermark import Watermark
from server.storage.records import COMPLETED, IN_PROGRESS, PENDING, VideoRecord
from server.storage.video_files import Variant
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from video.engine.ticket import Ticket
    from video.frames import Frames
    from video.models.backbone import Backbone
    from video.models.prompt_encoder import TextDecisions

_MOST_MOVEMENT = 1e9
"""Largest movement in a record; what is no number counts as infinite."""


def render(context: JobContext, record: VideoRecord) -> None:
    """Make an accepted video, and end its job.

    Raises:
        Exception: The video cannot be made. This includes an encoder that was deleted or replaced
            since the request was accepted, or whose audit failed.
    """
    loaded = context.wait_loaded()
    context.audits.require(record.encoder_ref, loaded.store.card)
    made_with = context.storage.run(
        f"the cards of video {record.id}",
        lambda: models_of(record, loaded.store.card, loaded.backbone),
    )
    # While storage is out, only the encoded clip is kept in memory.
    contents, ticket = _encoded(context, record)
    with tracing.span("store", **{"palimpsest.bytes": sum(map(len, contents.values()))}):
        context.storage.run(
            f"the files of video {record.id}",
            lambda: context.files.write(record.id, record.attempt, contents),
        )
    if not context.tracker.end(
        record,
        status=COMPLETED,
        progress=100,
        inference_seconds=round(ticket.seconds, 3),
        decisions=decisions_json(ticket.decisions),
        bytes=sum(map(len, contents.values())),
        ledger=ledger_draft(record, made_with, contents["video"]),
    ):
        context.files.delete_attempt(record.id, record.attempt)
    elif record.encoder_ref is not None and loaded.judge is not None:
        clip = ServedClip(record.encoder_ref, ticket.result())
        context.served_clips.offer(clip, share=context.settings.audited_clips_share)


def decisions_json(decisions: TextDecisions) -> list[list[dict[str, Any]]]:
    """Return decisions as the record keeps them."""
    return [
        [
            {
                "encoder_identity": decision.identity,
                "movement": _rounded(decision.movement),
                "open": decision.is_open,
            }
            for decision in each
        ]
        for each in decisions
    ]


def _rounded(movement: float | None) -> float | None:
    """Return a movement with five digits, as a number that JSON has."""
    return None if movement is None else float(f"{min(movement, _MOST_MOVEMENT):.5g}")


def _encoded(
    context: JobContext, record: VideoRecord
) -> tuple[dict[Variant, bytes], Ticket[Frames]]:
    """Make the video's files, and return them with the engine's ticket."""
    ticket = context.storage.run(f"video {record.id}", lambda: _computed(context, record))
    metadata = provenance(record, context.wait_loaded().backbone)
    watermark = Watermark.of(context)

    def encode() -> dict[Variant, bytes]:
        frames = ticket.result()
        work = context.encode_pool.submit(
            record.owner, encode_clip, frames, record, metadata, watermark
        )
        return work.result()

    with tracing.span("compress", **{"palimpsest.watermark": watermark is not None}):
        # It needs a temporary file.
        contents = context.storage.run(f"the encoding of video {record.id}", encode)
    with tracing.span("mark"):
        clip = ClipStatement.of_provenance(metadata)
        return MediaSigner(context).sign_video(contents, clip), ticket


def _computed(context: JobContext, record: VideoRecord) -> Ticket[Frames]:
    """Return the completed ticket of the video's frames."""
    ticket = context.wait_loaded().engine.submit(
        GenerationRequest(
            prompt=record.prompt,
            negative_prompt=record.negative_prompt,
            encoder=record.encoder_ref,
            seed=record.seed,
            steps=record.steps,
            guidance=record.guidance,
            frames=record.frames,
            deadline=_on_engine_clock(record.deadline),
            owner=record.owner,
        )
    )

    def report(share: float | None) -> bool:
        if share is None:
            return context.records.is_pending(record)
        return context.records.note(record, status=IN_PROGRESS, progress=min(99, int(share * 100)))

    try:
        context.tracker.follow(record.job_id, [ticket], report)
    finally:
        trace_parts(ticket, record.steps)
    return ticket


def encode_clip(
    frames: Frames,
    record: VideoRecord,
    metadata: dict[str, Any],
    watermark: Watermark | None = None,
) -> dict[Variant, bytes]:
    """Encode frames as the files of a finished video.

    Args:
        frames: (F,H,W,3) uint8, as the model made them.
        record: the video's.
        metadata: its provenance.
        watermark: put into the frames at the size to deliver; None: they stay as they are.
    """
    from video import clip

    delivered = clip.enlarge(frames, clip.even_size(record.width, record.height))
    small = frames
    if watermark is not None:
        delivered = watermark.put(delivered, record.id)
        small = clip.enlarge(delivered, (frames.shape[2], frames.shape[1]))
    return {
        "video": clip.encode_mp4(delivered, record.fps, provenance=metadata),
        "thumbnail": clip.thumbnail(small),
        "spritesheet": clip.spritesheet(small),
    }


def remove_video(context: JobContext, record: VideoRecord, *, without_record: bool = False) -> None:
    """Delete a video: its row, its work in the engine, its files.

    Files that cannot be removed just now are removed by the housekeeping.

    Args:
        context: The server's.
        record: The video.
        without_record: True to keep no record of the deleted video, whatever the settings say.

    Raises:
        Exception: The row could not be deleted. Then nothing was.
    """
    context.records.remove(record, without_record=without_record)
    if record.status in PENDING:
        context.tracker.cancel(record)
    context.files.delete(record.id)


def provenance(record: VideoRecord, backbone: Backbone) -> dict[str, Any]:
    """Return the mp4's metadata: what made the pixels, for anybody who gets the file.

    It has no prompt, no name and no tenant: the record has these, and is found by its id.
    """
    return {
        "generator": "palimpsest",
        "id": record.id,
        "model": backbone.name,
        "encoder_identity": record.encoder_identity,
        "base": backbone.text_encoder.fingerprint,
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "seed": record.seed,
        "steps": record.steps,
        "guidance": record.guidance,
        "frames": record.frames,
        "fps": record.fps,
        "created_at": record.created_at,
    }


def _on_engine_clock(deadline: int | None) -> float | None:
    """Convert Unix seconds to the seconds of `perf_counter`."""
    return None if deadline is None else time.perf_counter() + deadline - time.time()
