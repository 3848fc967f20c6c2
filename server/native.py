"""One call from prompt to mp4, for BentoML's own clients; the same rules as ``/v1/videos``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from server.bodies import check
from server.errors import ApiError
from server.keys import Caller
from server.records import COMPLETED, PENDING, VideoRecord
from server.runtime import Runtime
from server.schemas import VideoRequest
from server.videos import accept, remove

_LOOK_EVERY_SECONDS = 0.05


class VideoFailed(ApiError):
    """The video was accepted and could not be made."""

    status = 500
    code = "video_failed"


async def generate(
    runtime: Runtime, caller: Caller, prompt: str, encoder: str | None, seed: int | None
) -> Path:
    """Make a video and wait for it; returns its mp4. A caller that goes away cancels it.

    Raises:
        PalimpsestError: as for ``POST /v1/videos``, or the reason for which the video failed.
    """
    fields = {"prompt": prompt, "encoder": encoder, "seed": seed}
    request = check(VideoRequest, fields)
    record = await run_in_threadpool(accept, runtime, caller, request, None)
    try:
        while record.status in PENDING:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            now = await run_in_threadpool(
                runtime.records.get, VideoRecord, VideoRecord.id == record.id
            )
            if now is None:
                raise VideoFailed("The video was deleted.", code="video_deleted")
            record = now
    except asyncio.CancelledError:
        remove(runtime, record)
        raise
    if record.status != COMPLETED:
        raise VideoFailed(record.error_message or "The video failed.", code=record.error_code)
    return runtime.files.path(record.id, "video")
