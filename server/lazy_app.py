"""ASGI placeholder: holds reads while the real app, about 1 s of imports, loads in a thread.

So `/livez` answers early, and BentoML's parent process, which imports the service but serves
nothing, never imports the app.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from encoders import PalimpsestError
from server import logs
from server.drain import Drain, Stopping
from server.errors import NotReady, error_response
from server.garbage import collect_nothing_of_the_start
from server.parent_watchdog import announced_parent
from server.settings import Settings
from server.studio.page import answer_of
from server.supervision import end_with_parent

if TYPE_CHECKING:
    from fastapi import FastAPI

    from server.auth.live_keys import LiveKeys
    from server.runtime import Runtime

log = logging.getLogger(__name__)

HOLD_S = 30.0
"""Time that a read waits for the app. A client that polls a job must not give up because a worker
was replaced: looking at a job takes a database, but no model."""
MAX_HELD = 256
"""Reads that wait at a time; more are answered with 503."""
_POLL_S = 0.05


class LazyApp(Starlette):
    """ASGI placeholder: holds reads while the real app, about 1 s of imports, loads in a thread.

    Other requests are answered with 503 meanwhile. If the app cannot be created or started, it says
    why and ends the server: another worker could not start either.
    """

    def __init__(self, settings: Settings, keys: LiveKeys | None = None) -> None:
        super().__init__(lifespan=self._alive)
        self._settings = settings
        self._keys = keys
        self._app: FastAPI | None = None
        self._created: FastAPI | None = None
        self._held = 0
        self.drain = Drain(
            least_s=settings.drain_seconds,
            most_s=settings.stop_seconds,
            end_waits=self._end_waits,
            stop_work=self._stop_work,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        if self._app is None and scope["method"] == "GET" and scope["path"].startswith("/v1/"):
            await self._wait_for_app()
        if self._app is not None:
            answer = self._app
        elif (studio := answer_of(scope)) is not None:
            answer = studio  # a page is painted before anything is loaded
        else:
            answer = error_response(self._away())
        await answer(scope, receive, send)

    @property
    def routes(self) -> list[BaseRoute]:
        """Routes of the app: BentoML answers other paths. Every path until the app is there."""
        return [Mount("/", self)] if self._app is None else self._app.routes

    @property
    def runtime(self) -> Runtime:
        """The app's runtime.

        Raises:
            NotReady: The app is still loading, or the server stops.
        """
        if self._app is None:
            raise self._away()
        return self._app.state.runtime

    @property
    def ready(self) -> bool:
        """True once the models are loaded, until the server is told to stop."""
        return self._app is not None and self.runtime.ready and not self.drain.begun

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer in the app's metrics, if the app is there."""
        if self._app is not None:
            self.runtime.metrics.observe(scope, status, seconds)

    @asynccontextmanager
    async def _alive(self, _: Starlette) -> AsyncGenerator[None]:
        # Not at the top: BentoML's parent process imports this too, and serves nothing.
        from server.http.protocol import BoundedHttpProtocol

        logs.set_up()
        BoundedHttpProtocol.register.announce()
        self.drain.install()
        ending = asyncio.Event()
        serving = asyncio.create_task(self._serve(ending))
        starting = asyncio.create_task(self._start())
        yield
        starting.cancel()
        ending.set()
        await serving

    async def _start(self) -> None:
        await collect_nothing_of_the_start(self._has_started)
        if self.ready:
            log.info("ready")

    def _has_started(self) -> bool:
        """Return True once the models are loaded, or cannot be."""
        return self._app is not None and (self.runtime.ready or self.runtime.load_error is not None)

    async def _serve(self, ending: asyncio.Event) -> None:
        try:
            app = await run_in_threadpool(_create, self._settings, self._keys)
            if self.drain.begun:
                return
            self._created = app
            async with app.router.lifespan_context(app):
                self._app = app
                await ending.wait()
                self._app = None
        except Exception as error:
            if self.drain.begun:
                return
            if not isinstance(error, PalimpsestError):  # else the message says all
                log.exception("the server cannot start")
            print(f"Error: {error or type(error).__name__}", file=sys.stderr, flush=True)
            end_with_parent(announced_parent())

    def _away(self) -> NotReady:
        if self.drain.begun:
            return Stopping()
        return NotReady("The server is starting.", code="loading", headers={"Retry-After": "2"})

    async def _wait_for_app(self) -> None:
        if self._held >= MAX_HELD:
            return
        self._held += 1
        until = time.monotonic() + HOLD_S
        try:
            while self._app is None and not self.drain.begun and time.monotonic() < until:
                await asyncio.sleep(_POLL_S)
        finally:
            self._held -= 1

    def _end_waits(self) -> None:
        if self._created is not None:  # it may still be starting, which ends sooner like this
            self._created.state.runtime.end_waits()

    def _stop_work(self) -> None:
        if self._app is not None:
            self.runtime.stop_work()


def _create(settings: Settings, keys: LiveKeys | None) -> FastAPI:
    from server.api.app import create_app  # the imports that this class defers

    return create_app(settings, keys)
