"""Route `/v1/events`: several jobs in one stream, for clients with few connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from server.api.encoders import visible_encoder
from server.api.events import events, following
from server.api.response_models import EncoderObject, Video
from server.api.videos import visible_video
from server.errors import InvalidRequest
from server.runtime import runtime_of

router = APIRouter(prefix="/v1/events", tags=["operation"])

_NONE: list[str] = []
MOST_JOBS = 64
"""Jobs that one stream follows at most."""

Ids = Annotated[list[str], Query(max_length=MOST_JOBS)]
Look = Callable[[], Video | EncoderObject]


def looks_of(request: Request, video: Ids = _NONE, encoder: Ids = _NONE) -> dict[str, Look]:
    """Return a function for each job of the request that looks at it; a dependency.

    Raises:
        InvalidRequest: There are no jobs, or too many.
        NotReady: Storage cannot be used.
    """
    looks: dict[str, Look] = {
        **{name: partial(visible_video, request, name) for name in video},
        **{name: partial(visible_encoder, request, name) for name in encoder},
    }
    if not 0 < len(looks) <= MOST_JOBS:
        raise InvalidRequest(
            f"Name 1 to {MOST_JOBS} jobs to follow, by `video` and `encoder`; there are "
            f"{len(looks)}.",
            param="video",
        )
    assert runtime_of(request).records
    return looks


@router.get(
    "",
    summary="Follow several jobs",
    response_class=EventSourceResponse,
    dependencies=[Depends(following)],
)
async def follow_jobs(
    request: Request, looks: Annotated[dict[str, Look], Depends(looks_of)]
) -> AsyncIterator[ServerSentEvent]:
    """Send the states of several videos and encoders as server-sent events, until all have ended.

    Each event is one of the streams of single jobs. `deleted` has the job's `id`; it is also what
    is said of a job that never was. The stream takes one place of those that the key may have.
    """
    if request.method == "HEAD":
        return  # the headers are the answer
    async for event in _merged(request, looks):
        yield event


async def _merged(request: Request, looks: dict[str, Look]) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of all jobs, each as soon as it is there."""
    told = asyncio.Queue[ServerSentEvent | Exception | None](1)  # a slow client gets the latest

    async def follow(name: str, look: Look) -> None:
        try:
            async for event in events(request, name, look):
                if event.event == "deleted":
                    event = ServerSentEvent(event="deleted", raw_data=json.dumps({"id": name}))
                await told.put(event)
        except Exception as error:
            await told.put(error)
        await told.put(None)

    following = [asyncio.create_task(follow(name, look)) for name, look in looks.items()]
    left = len(following)
    try:
        while left:
            event = await told.get()
            if event is None:
                left -= 1
            elif isinstance(event, Exception):
                raise event
            else:
                yield event
                if event.event in ("unauthorized", "stopping"):
                    return  # the others would say the same
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
