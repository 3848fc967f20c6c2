"""One call from prompt to mp4, for BentoML's own clients; the same rules as ``/v1/videos``."""

from __future__ import annotations

from pathlib import Path

from starlette.concurrency import run_in_threadpool

from server.api.request_parsing import check
from server.api.schemas import VideoRequest
from server.api.videos import accept, finished
from server.auth.keys import Caller
from server.runtime import Runtime


async def generate(
    runtime: Runtime, caller: Caller, prompt: str, encoder: str | None, seed: int | None
) -> Path:
    """Make a video and wait for it; returns its mp4. A caller that goes away cancels it.

    Raises:
        PalimpsestError: as for ``POST /v1/videos``, or the reason for which the video failed.
    """
    fields = {"prompt": prompt, "encoder": encoder, "seed": seed}
    request = check(VideoRequest, fields)
    record = await finished(
        runtime, await run_in_threadpool(accept, runtime, caller, request, None)
    )
    return runtime.files.path(record.id, "video")
