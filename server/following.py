"""Following a job to its end: what it says of itself, each time that this changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from encoders import EncoderNotFound
from server.errors import NotFound
from server.records import PENDING
from server.schemas import Encoder, Video

PAUSE_SECONDS = 0.2
"""Between two looks. Whoever works on the job writes into its row, in this process or another."""

Followed = TypeVar("Followed", Video, Encoder)


async def changes(look: Callable[[], Followed]) -> AsyncIterator[Followed]:
    """The job as it is, and then each time that it has changed; the last one has ended.

    Args:
        look: the job now; blocks briefly.

    Raises:
        NotFound, EncoderNotFound: it was deleted.
    """
    told: Followed | None = None
    while told is None or told.status in PENDING:
        now = await run_in_threadpool(look)
        if now != told:
            told = now
            yield now
        else:
            await asyncio.sleep(PAUSE_SECONDS)


async def to_end(look: Callable[[], Followed], request: Request) -> Followed:
    """The job once it has ended, for a caller who waits for it.

    Raises:
        CallerGone: the caller has closed the connection.
        NotFound, EncoderNotFound: the job was deleted.
    """
    ended, left = asyncio.ensure_future(_last(changes(look))), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((ended, left), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            raise CallerGone
        return await ended
    finally:
        ended.cancel()
        left.cancel()


class CallerGone(Exception):
    """Nobody waits for the answer any more."""


async def _last(items: AsyncIterator[Followed]) -> Followed:
    return [item async for item in items][-1]


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def events(look: Callable[[], Followed]) -> AsyncIterator[ServerSentEvent]:
    """`changes` as server-sent events, named by the job's status; or `deleted`, the last."""
    try:
        async for now in changes(look):
            yield ServerSentEvent(event=now.status, data=now)
    except (NotFound, EncoderNotFound):
        yield ServerSentEvent(event="deleted", data=None)
