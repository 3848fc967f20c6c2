"""Following a job to its end: what it says of itself, each time that this changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from encoders import EncoderNotFound
from server.api.schemas import EncoderObject, Video
from server.errors import NotFound
from server.storage.notifier import JobNotifier
from server.storage.records import PENDING

Followed = TypeVar("Followed", Video, EncoderObject)
Answer = TypeVar("Answer")


async def changes(
    listeners: JobNotifier, job_id: str, look: Callable[[], Followed]
) -> AsyncIterator[Followed]:
    """The job as it is, and then each time that it has changed; the last one has ended.

    Args:
        listeners: told of every change to the job's row.
        job_id: the row's id.
        look: the job now; blocks briefly.

    Raises:
        NotFound, EncoderNotFound: it was deleted.
    """
    told: Followed | None = None
    with listeners.listening(job_id) as changed:
        while True:
            changed.clear()
            now = await run_in_threadpool(look)
            if now != told:
                told = now
                yield now
            if now.status not in PENDING:
                return
            await changed.wait()


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


async def events(
    listeners: JobNotifier, job_id: str, look: Callable[[], Followed]
) -> AsyncIterator[ServerSentEvent]:
    """`changes` as server-sent events, named by the job's status; or `deleted`, the last."""
    try:
        async for now in changes(listeners, job_id, look):
            yield ServerSentEvent(event=now.status, data=now)
    except (NotFound, EncoderNotFound):
        yield ServerSentEvent(event="deleted", data=None)
