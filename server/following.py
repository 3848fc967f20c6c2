"""Following a job to its end: what it says of itself, each time that this changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from encoders import EncoderNotFound
from server.errors import NotFound
from server.records import PENDING
from server.schemas import Encoder, Video

PAUSE_SECONDS = 0.1
"""Between two looks. Whoever works on the job writes into its row, in this process or another."""

Followed = TypeVar("Followed", Video, Encoder)
Answer = TypeVar("Answer")


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


async def while_heard(request: Request, answer: Awaitable[Answer]) -> Answer:
    """What `answer` comes to, which is cancelled when the caller closes the connection.

    Raises:
        CallerGone: the caller has.
    """
    working, left = asyncio.ensure_future(answer), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, left), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CallerGone
        return await working
    finally:
        left.cancel()
        working.cancel()
        await asyncio.wait((working, left))


class CallerGone(Exception):
    """Nobody waits for the answer any more."""


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
