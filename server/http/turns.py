"""Turns of requests: a burst of one caller's requests does not hold up the others'.

An event loop begins requests in the order in which they arrive. A thousand of them that arrive at
once would all be begun before the next one, and a probe would wait for seconds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

BEGUN_AT_ONCE = 4
"""Requests that begin in one round of the event loop; a round of them takes some milliseconds."""

_Waiting = deque[asyncio.Future[None]]


class Turns:
    """ASGI middleware that lets a few requests begin in each round of the loop, by caller in turn.

    A caller is told by its Authorization header, and without one by its address. It need not be
    true here: whoever invents keys is refused when its turn comes.

    Args:
        app: the service.
        at_once: paths whose requests do not wait: probes.
    """

    def __init__(self, app: ASGIApp, *, at_once: Collection[str]) -> None:
        self._app = app
        self._at_once = at_once
        self._waiting: OrderedDict[object, _Waiting] = OrderedDict()
        self._begun = 0
        self._has_next_round = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._at_once:
            await self._turn(_caller(scope))
        await self._app(scope, receive, send)

    async def _turn(self, caller: object) -> None:
        """Wait until the request may begin."""
        loop = asyncio.get_running_loop()
        if not self._has_next_round:
            self._has_next_round = True
            loop.call_soon(self._next_round, loop)
        if self._begun < BEGUN_AT_ONCE and not self._waiting:
            self._begun += 1
            return
        turn = loop.create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        await turn

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun = 0
        while self._waiting and self._begun < BEGUN_AT_ONCE:
            caller, waiting = self._waiting.popitem(last=False)
            turn = waiting.popleft()
            if waiting:
                self._waiting[caller] = waiting
            if not turn.done():  # else the request was cancelled
                turn.set_result(None)
                self._begun += 1
        self._has_next_round = self._begun > 0
        if self._has_next_round:
            loop.call_soon(self._next_round, loop)


def _caller(scope: Scope) -> object:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return value
    client = scope.get("client")
    return client[0] if client else None
