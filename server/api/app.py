"""The HTTP app with all its routes. It must be served behind `server.auth.guard.Guard`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from encoders.version import VERSION
from server import errors
from server.api import (
    aliases,
    encoders,
    health,
    judgements,
    landing_page,
    models,
    reports,
    videos,
)
from server.api.openapi import DocumentedApp
from server.api.response_models import ErrorAnswer
from server.runtime import Runtime
from server.settings import Settings

DESCRIPTION = """Text-to-video that can forget. `model` names the built-in model, or one of its
unlearned encoders: `starter:no-pogo`. Errors look like
`{"error": {"message", "type", "param", "code"}}`, whatever went wrong."""


def create_app(settings: Settings) -> FastAPI:
    """Return the app for these settings.

    Its lifespan starts and stops the `Runtime`, which is `app.state.runtime`.
    """
    runtime = Runtime(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await run_in_threadpool(runtime.start)
        yield
        await run_in_threadpool(runtime.stop)

    app = DocumentedApp(
        title="Palimpsest",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Without these FastAPI would describe its own shape of validation errors.
        responses={
            "4XX": {"model": ErrorAnswer, "description": "Refused"},
            "5XX": {"model": ErrorAnswer, "description": "The server's fault"},
        },
    )
    app.state.runtime = runtime
    errors.install(app)
    for routes in (
        videos,
        encoders,
        judgements,
        reports,
        aliases,
        models,
        health,
        landing_page,
    ):
        app.include_router(routes.router)
    return app
