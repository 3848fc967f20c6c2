"""Drain: the time between the signal to stop and the end of the process.

Uvicorn closes its sockets as soon as it is told to stop. So the signal comes here first: reads are
still answered while the steps under way end, everything else is refused, and streams end. Then
uvicorn is told, and has little left to close.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import NotReady, error_response

log = logging.getLogger(__name__)

REPEAT_S = 1.0
"""Signals within this time are one: some tools signal the parent and the worker."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_POLL_S = 0.05
_WRITES_S = 1.0
"""Time for requests that were not refused any more, such as an upload."""
_LAST_S = 1.0
"""Time for uvicorn to close connections, and for the lifespan to end."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping(NotReady):
    """The server is about to end; the next start takes up what it has accepted."""

    code = "stopping"

    def __init__(self, message: str = "The server is stopping. Try again soon.") -> None:
        super().__init__(message, headers={"Retry-After": "5"})


class Draining(NotReady):
    """The server takes no more jobs, on an operator's word; it goes on answering reads."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__("The server was told to drain, and takes no more work.")


class Drain:
    """The drain of one worker.

    Args:
        least_s: Seconds for which reads are answered after the signal, even if nothing goes on.
        most_s: Seconds after these in which work and connections may end by themselves.
        end_waits: Ends the requests that wait for a job; called on a thread.
        stop_work: Ends the work under way, and returns once it has ended; called on a thread.
    """

    def __init__(
        self,
        *,
        least_s: float,
        most_s: float,
        end_waits: Callable[[], None],
        stop_work: Callable[[], None],
    ) -> None:
        self._least_s = least_s
        self._most_s = least_s + most_s
        self._end_waits = end_waits
        self._stop_work = stop_work
        self._began: float | None = None
        self._requests: set[object] = set()
        self._writes: set[object] = set()
        self._handler: Any = None
        self._draining: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """True from the signal on."""
        return self._began is not None

    def install(self) -> None:
        """Catch the signals that uvicorn catches. Call it on the running event loop."""
        if threading.current_thread() is not threading.main_thread():
            return  # as in tests: no signal arrives there
        self._loop = asyncio.get_running_loop()
        self._handler = signal.getsignal(signal.SIGTERM)
        if callable(self._handler):
            for number in _SIGNALS:
                signal.signal(number, self._on_signal)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Return an app that refuses all but reads once the drain has begun."""

        async def drained(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            if self.begun and scope["method"] not in _READS:
                await error_response(Stopping())(scope, receive, send)
                return
            request = object()
            self._requests.add(request)
            if scope["method"] not in _READS:
                self._writes.add(request)

            async def closing(message: Message) -> None:
                if self.begun and message["type"] == "http.response.start":
                    # The client's next request shall not come on a connection that is about to end.
                    MutableHeaders(scope=message)["connection"] = "close"
                await send(message)

            try:
                await app(scope, receive, closing)
            finally:
                self._requests.discard(request)
                self._writes.discard(request)

        return drained

    def _on_signal(self, *_: object) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = now
            self._loop.call_soon_threadsafe(self._begin)
            # Whatever hangs, the process ends.
            last = threading.Timer(
                self._most_s + _LAST_S, _end_at_once, ("the stop took too long",)
            )
            last.daemon = True
            last.start()
        elif now - self._began > REPEAT_S:
            _end_at_once("a second signal")

    def _begin(self) -> None:
        log.info("stopping")
        self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        assert self._began is not None
        earlier = set(self._requests)
        working = asyncio.create_task(self._end_work())
        while (now := time.monotonic() - self._began) < self._most_s:
            if now >= self._least_s and working.done() and not earlier & self._requests:
                break
            await asyncio.sleep(_POLL_S)
        if working.done() and (error := working.exception()) is not None:
            log.error("the work under way could not be ended", exc_info=error)
        self._end_uvicorn()

    async def _end_work(self) -> None:
        # Not the pool of the requests, all of whose threads may wait for a slow disk.
        await self._loop.run_in_executor(None, self._end_waits)
        # What is being accepted just now shall find the jobs still open.
        until = time.monotonic() + _WRITES_S
        while self._writes and time.monotonic() < until:
            await asyncio.sleep(_POLL_S)
        await self._loop.run_in_executor(None, self._stop_work)

    def _end_uvicorn(self) -> None:
        # The handler is a method of uvicorn's server, which BentoML does not hand out.
        server = getattr(self._handler, "__self__", None)
        state = getattr(server, "server_state", None)
        if server is not None and state is not None:
            assert self._began is not None
            if time.monotonic() - self._began >= self._most_s:
                for connection in list(state.connections):
                    connection.transport.abort()
            server.config.timeout_graceful_shutdown = _LAST_S
        self._handler(signal.SIGTERM, None)


def _end_at_once(why: str) -> None:
    log.warning("ended at once: %s", why)
    os._exit(0)
