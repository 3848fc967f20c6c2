"""Events of a job: its states from now to its end, as an iterator or as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from fastapi import Request
from fastapi.sse import ServerSentEvent

from encoders import EncoderNotFound
from server.api.response_models import EncoderObject, Video
from server.auth.guard import caller_of, check_key
from server.drain import Stopping
from server.errors import NotFound, Unauthorized
from server.http.protocol import BoundedHttpProtocol
from server.runtime import runtime_of
from server.storage.records import PENDING

RECONNECT_MS = 5000
"""Time after which a follower should connect again when the server stops: it may be restarting."""

Answer = TypeVar("Answer")


class CallerGone(Exception):
    """The caller closed the connection, so no answer is needed."""


def following(request: Request) -> Generator[None]:
    """Hold the request's place among those that follow jobs; a dependency. Raise TooManyStreams."""
    with place_of(request):
        yield


def place_of(request: Request) -> AbstractContextManager[None]:
    """Return the context that holds the request's place. Entering it may raise TooManyStreams."""
    most = BoundedHttpProtocol.register.most // 2
    return runtime_of(request).followers.place(caller_of(request).id, most=most)


async def events(
    request: Request, job_id: str, look: Callable[[], Video | EncoderObject]
) -> AsyncIterator[ServerSentEvent]:
    """Yield a job's states, now and after changes, as events named by the job's status.

    If the job is deleted, the last event is `deleted`. If the request's key is revoked or expires,
    it is `unauthorized`. If the server stops, it is `stopping`, with the time after which an
    EventSource connects again by itself.
    """
    followers, caller = runtime_of(request).followers, caller_of(request)

    def look_for_all() -> ServerSentEvent:
        # One text for all who follow the job: making it takes longer than sending it.
        now = look()
        return ServerSentEvent(event=now.status, raw_data=now.model_dump_json())

    try:
        async for now in followers.follow(
            job_id, caller.id, look_for_all, _is_last, partial(check_key, request)
        ):
            yield now
    except (NotFound, EncoderNotFound):
        yield ServerSentEvent(event="deleted", data=None)
    except Unauthorized as error:
        yield ServerSentEvent(event="unauthorized", data={"code": error.reported_code})
    except Stopping:
        # A browser's EventSource drops an event without data.
        yield ServerSentEvent(event="stopping", data={"code": "stopping"}, retry=RECONNECT_MS)


def _is_last(event: ServerSentEvent) -> bool:
    """Return True if the job will not change any more."""
    return event.event not in PENDING


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
