"""The HTTP app, put together. It must be served behind :class:`server.auth.guard.Guard`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from encoders.version import VERSION
from server import errors
from server.api import aliases, encoders, health, landing_page, models, reports, videos
from server.api.schemas import ErrorAnswer
from server.runtime import Runtime
from server.settings import Settings

DESCRIPTION = """Text-to-video that can forget. `model` names the built-in model, or one of its
unlearned encoders: `starter:no-pogo`. Errors look like
`{"error": {"message", "type", "param", "code"}}`, whatever went wrong."""


def create_app(settings: Settings) -> FastAPI:
    """The app for these settings; its lifespan starts and stops the :class:`Runtime`.

    ``app.state.runtime`` is the runtime.
    """
    runtime = Runtime(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await run_in_threadpool(runtime.start)
        yield
        await run_in_threadpool(runtime.stop)

    app = FastAPI(
        title="Palimpsest",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Without these FastAPI would promise its own shape for errors of validation.
        responses={
            "4XX": {"model": ErrorAnswer, "description": "Refused"},
            "5XX": {"model": ErrorAnswer, "description": "The server's fault"},
        },
    )
    app.state.runtime = runtime
    errors.install(app)
    for room in (videos, encoders, reports, aliases, models, health, landing_page):
        app.include_router(room.router)
    return app
