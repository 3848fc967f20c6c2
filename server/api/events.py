"""Events of a job: its states from now to its end, as an iterator or as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from encoders import EncoderNotFound
from server.api.response_models import EncoderObject, Video
from server.drain import Stopping
from server.errors import NotFound
from server.storage.notifier import JobNotifier
from server.storage.records import PENDING

RECONNECT_MS = 5000
"""Time after which a follower should connect again when the server stops: it may be restarting."""

Followed = TypeVar("Followed", Video, EncoderObject)
Answer = TypeVar("Answer")


class CallerGone(Exception):
    """The caller closed the connection, so no answer is needed."""


async def changes(
    notifier: JobNotifier, job_id: str, look: Callable[[], Followed]
) -> AsyncIterator[Followed]:
    """Yield the job's state now, and again after every change. The last one has ended.

    Args:
        notifier: wakes on every change to the job's row.
        job_id: the row's id.
        look: returns the job's state now; may block briefly.

    Raises:
        NotFound, EncoderNotFound: the job was deleted.
        Stopping: the server stops before the job has ended; the next start goes on with it.
    """
    last: Followed | None = None
    with notifier.listening(job_id) as changed:
        while True:
            changed.clear()
            now = await run_in_threadpool(look)
            if now != last:
                last = now
                yield now
            if now.status not in PENDING:
                return
            if notifier.closed:
                raise Stopping
            await changed.wait()


async def events(
    notifier: JobNotifier, job_id: str, look: Callable[[], Followed]
) -> AsyncIterator[ServerSentEvent]:
    """Yield `changes` as server-sent events named by the job's status.

    If the job is deleted, the last event is `deleted`. If the server stops, it is `stopping`, with
    the time after which an EventSource connects again by itself.
    """
    try:
        async for now in changes(notifier, job_id, look):
            yield ServerSentEvent(event=now.status, data=now)
    except (NotFound, EncoderNotFound):
        yield ServerSentEvent(event="deleted", data=None)
    except Stopping:
        # A browser's EventSource drops an event without data.
        yield ServerSentEvent(event="stopping", data={"code": "stopping"}, retry=RECONNECT_MS)


async def cancelled_with_caller(request: Request, answer: Awaitable[Answer]) -> Answer:
    """Return the result of `answer`; cancel it if the caller closes the connection.

    Raises:
        CallerGone: the caller has closed it.
    """
    working, left = asyncio.ensure_future(answer), asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((working, left), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CallerGone
        return await working
    finally:
        left.cancel()
        working.cancel()
        await asyncio.wait((working, left))


async def _disconnect(request: Request) -> None:
    """Return once the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
