"""Turns of requests: a burst of one caller's requests does not hold up the others'.

An event loop begins requests in the order in which they arrive. A thousand of them that arrive at
once would all be begun before the next one, and a probe would wait for seconds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST = 8
"""Requests that are looked at, at a time. Each takes some milliseconds of the event loop."""
LONGEST_S = 0.1
"""Time after which a request makes room for the next: it waits for something slow."""
BODY_S = 0.01
"""The same for a request that waits for its body, or for its client's end."""
PUT_OFF = 8
"""Rounds of the loop for which a request waits, at most, while new connections arrive."""


class Turns:
    """ASGI middleware that looks at a few requests at a time, by caller in turn.

    A request makes room for the next when its answer begins, or after a while (`LONGEST_S`,
    `BODY_S`). In each round of the loop one begins, so that connections are taken meanwhile. While
    they arrive it is one in several rounds (`PUT_OFF`): a probe is a new connection too, and waits
    until those before it are taken, which takes much less than to begin their requests.

    Args:
        app: the service.
        at_once: paths that are read without waiting: probes.
        caller_of: returns the name of a request's caller. It is called before the request's turn,
            so it must be quick, and no client may be able to choose the name.
        arrived: returns the number of connections that were ever taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        at_once: Collection[str],
        caller_of: Callable[[Scope], Hashable],
        arrived: Callable[[], int],
    ) -> None:
        self._app = app
        self._at_once = at_once
        self._caller_of = caller_of
        self._arrived = arrived
        self._arrived_before, self._put_off = 0, 0
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        self._now = 0
        self._begins_next: asyncio.Handle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_probe(scope):
            await self._app(scope, receive, send)
            return
        caller, loop = self._caller_of(scope), asyncio.get_running_loop()
        has_place, latest = False, loop.call_later(0, lambda: None)

        def make_room() -> None:
            nonlocal has_place
            if has_place:
                has_place = False
                latest.cancel()
                self._now -= 1
                self._begin_soon()

        async def take_place() -> None:
            nonlocal has_place, latest
            if not has_place:
                await self._wait(caller)
                has_place, latest = True, loop.call_later(LONGEST_S, make_room)

        async def receiving() -> Message:
            slow = loop.call_later(BODY_S, make_room)
            try:
                message = await receive()
            finally:
                slow.cancel()
            await take_place()  # a thousand bodies, or clients' ends, can arrive at once too
            return message

        async def sending(message: Message) -> None:
            make_room()
            await send(message)

        await take_place()
        try:
            await self._app(scope, receiving, sending)
        finally:
            make_room()

    def _is_probe(self, scope: Scope) -> bool:
        return scope["path"] in self._at_once and scope["method"] in ("GET", "HEAD")

    async def _wait(self, caller: Hashable) -> None:
        """Wait until a request of this caller may begin."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._begin_soon()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had its turn a moment ago
                self._now -= 1
                self._begin_soon()
            raise

    def _begin_soon(self) -> None:
        if self._begins_next is None and self._waiting and self._now < MOST:
            self._begins_next = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Let the next request begin, and another in the next round of the loop."""
        self._begins_next = None
        if self._is_put_off():
            self._begin_soon()
            return
        while self._waiting:
            caller, waiting = self._waiting.popitem(last=False)
            turn = waiting.popleft()
            if waiting:
                self._waiting[caller] = waiting
            if not turn.done():  # else the request was cancelled
                self._now += 1
                turn.set_result(None)
                break
        self._begin_soon()

    def _is_put_off(self) -> bool:
        """Return True if connections arrived since the last round, but for a few rounds only."""
        before, self._arrived_before = self._arrived_before, self._arrived()
        self._put_off = (self._put_off + 1) % PUT_OFF if self._arrived_before > before else 0
        return self._put_off > 0
