"""Making one video, through the engine into an mp4 that says how it was made; and removing it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from server.auth.keys import BASE
from server.storage.records import COMPLETED, IN_PROGRESS, PENDING, VideoRecord
from server.storage.video_files import Variant

if TYPE_CHECKING:
    from server.jobs.workflows import Jobs
    from server.runtime import Runtime
    from video.models.backbone import Backbone


def render(jobs: Jobs, record: VideoRecord) -> None:
    """Work on an accepted video until its row is ended, or gone.

    Raises what went wrong; an encoder that has gone, or has become another, is an error too.
    """
    from video import GenerationRequest, clip

    runtime = jobs.runtime
    loaded = runtime.wait_loaded()
    encoder = None
    if record.encoder_id is not None and record.encoder_digest is not None:
        encoder = (record.encoder_id, record.encoder_digest)
    ticket = loaded.engine.submit(
        GenerationRequest(
            prompt=record.prompt,
            negative_prompt=record.negative_prompt,
            encoder=encoder,
            seed=record.seed,
            steps=record.steps,
            guidance=record.guidance,
            frames=record.frames,
            deadline=_on_the_loops_clock(record.deadline),
        )
    )

    def report(progress: float | None) -> bool:
        if progress is None:
            return runtime.records.pending(record)
        return runtime.records.change(
            record, status=IN_PROGRESS, progress=min(99, int(progress * 100))
        )

    frames = jobs.follow(record.id, [ticket], report)[0]
    size = (record.width, record.height)
    said = provenance(record, loaded.backbone)

    def encode() -> dict[Variant, bytes]:
        return {
            "video": clip.encode_mp4(frames, record.fps, size, said),
            "thumbnail": clip.thumbnail(frames),
            "spritesheet": clip.spritesheet(frames),
        }

    contents = jobs.encoded(encode)
    runtime.files.write(record.id, contents)
    if not jobs.end(
        record,
        status=COMPLETED,
        progress=100,
        inference_seconds=round(ticket.seconds, 3),
        bytes=sum(map(len, contents.values())),
    ):
        runtime.files.delete(record.id)


def remove(runtime: Runtime, record: VideoRecord) -> None:
    """Delete a video: its row, its work if it is under way, its files."""
    runtime.records.remove(record)
    if record.status in PENDING:
        runtime.jobs.cancel(record)
    runtime.files.delete(record.id)


def _on_the_loops_clock(deadline: int | None) -> float | None:
    """Unix seconds → `perf_counter`'s."""
    return None if deadline is None else time.perf_counter() + deadline - time.time()


def provenance(record: VideoRecord, backbone: Backbone) -> dict[str, Any]:
    """What the mp4 says about itself: everything that decides its pixels."""
    return {
        "generator": "palimpsest",
        "id": record.id,
        "model": record.model,
        "encoder": record.encoder_id or BASE,
        "encoder_digest": record.encoder_digest,
        "base": backbone.text_encoder.fingerprint,
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "prompt": record.prompt,
        "negative_prompt": record.negative_prompt,
        "seed": record.seed,
        "steps": record.steps,
        "guidance": record.guidance,
        "frames": record.frames,
        "fps": record.fps,
        "created_at": record.created_at,
    }
