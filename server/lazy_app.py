"""ASGI placeholder: answers 503 while the real app, about 1 s of imports, loads in a thread.

So `/livez` answers early, and BentoML's parent process, which imports the service but serves
nothing, never imports the app.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from server import logs
from server.errors import NotReady, error_response
from server.http.protocol import BoundedHttpProtocol
from server.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from server.runtime import Runtime

log = logging.getLogger(__name__)


class LazyApp(Starlette):
    """ASGI placeholder: answers 503 while the real app, about 1 s of imports, loads in a thread.

    If the app cannot be created or started, the process ends itself, and BentoML's parent starts
    another.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(lifespan=self._alive)
        self._settings = settings
        self._app: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        elif self._app is None:
            await error_response(_starting())(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @property
    def routes(self) -> list[BaseRoute]:
        """Routes of the app: BentoML answers other paths. Every path until the app is there."""
        return [Mount("/", self)] if self._app is None else self._app.routes

    @property
    def runtime(self) -> Runtime:
        """The app's runtime.

        Raises:
            NotReady: The app is still loading.
        """
        if self._app is None:
            raise _starting()
        return self._app.state.runtime

    @property
    def ready(self) -> bool:
        """True once the models are loaded."""
        return self._app is not None and self.runtime.ready

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer in the app's metrics, if the app is there."""
        if self._app is not None:
            self.runtime.metrics.observe(scope, status, seconds)

    @asynccontextmanager
    async def _alive(self, _: Starlette) -> AsyncGenerator[None]:
        logs.set_up()
        BoundedHttpProtocol.register.announce()
        ending = asyncio.Event()
        serving = asyncio.create_task(self._serve(ending))
        yield
        ending.set()
        await serving

    async def _serve(self, ending: asyncio.Event) -> None:
        try:
            app = await run_in_threadpool(_create, self._settings)
            async with app.router.lifespan_context(app):
                self._app = app
                await ending.wait()
                self._app = None
        except Exception:
            log.exception("the server cannot start")
            os.kill(os.getpid(), signal.SIGTERM)


def _create(settings: Settings) -> FastAPI:
    from server.api.app import create_app  # the imports that this class defers

    return create_app(settings)


def _starting() -> NotReady:
    return NotReady("The server is starting.", code="loading", headers={"Retry-After": "2"})
