"""The HTTP app with all its routes. It must be served behind `server.auth.guard.Guard`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from encoders.version import VERSION
from server import tracing
from server.api import (
    aliases,
    audits,
    capabilities,
    deleted_videos,
    encoders,
    error_handlers,
    generate,
    health,
    job_events,
    judgements,
    ledger,
    load,
    making,
    models,
    pages,
    recall,
    replicas,
    reports,
    tenants,
    usage,
    verification,
    video_content,
    videos,
    ways,
)
from server.api.openapi import DocumentedApp, operation_id
from server.api.response_models import ErrorAnswer
from server.api.shared_work import SharedWork
from server.auth.live_keys import LiveKeys
from server.runtime import Runtime
from server.settings import Settings

DESCRIPTION = """Text-to-video that can forget. `model` names the built-in model, or one of its
unlearned encoders: `starter:no-pogo`. Errors look like
`{"error": {"message", "type", "param", "code"}}`, whatever went wrong."""

ROUTES = (
    videos,
    video_content,
    deleted_videos,
    generate,
    encoders,
    ways,
    making,
    judgements,
    reports,
    audits,
    aliases,
    models,
    capabilities,
    job_events,
    health,
    load,
    pages,
    tenants,
    replicas,
    usage,
    ledger,
    recall,
    verification,
)
"""The modules of the API, each with a `router`."""


def create_app(settings: Settings, keys: LiveKeys | None = None) -> FastAPI:
    """Return the app for these settings.

    Its lifespan starts and stops the `Runtime`, which is `app.state.runtime`.

    Args:
        settings: the server's settings.
        keys: the guard's keys, which may have limits of their own.
    """
    runtime = Runtime(settings, keys)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        tracing.start(runtime.holder.replica)
        await run_in_threadpool(runtime.start)
        # A page or a zip takes seconds of a core, and a zip up to 256 MiB.
        work = app.state.report_work = SharedWork(1, "report")
        # A file of somebody is read in a process of its own, which takes a third of a second.
        verify_work = app.state.verify_work = SharedWork(2, "verify")
        searches = app.state.way_searches = ways.WaySearches()
        yield
        work.shutdown()
        verify_work.shutdown()
        searches.shutdown()
        await run_in_threadpool(runtime.stop)
        await run_in_threadpool(tracing.stop)

    app = DocumentedApp(
        title="Palimpsest",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,  # `pages` serves it, with the client's address
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Without one FastAPI would describe its own shape of validation errors.
        responses={"4XX": {"model": ErrorAnswer}},
        generate_unique_id_function=operation_id,
        # Its own spans and logs would quote requests; `server.tracing` and the guard trace them.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.runtime = runtime
    error_handlers.install(app)
    app.state.routes = []
    for module in ROUTES:
        for route in module.router.routes:
            assert isinstance(route, APIRoute)
            if route.methods is not None and "GET" in route.methods:
                route.methods.add("HEAD")
            app.state.routes.append(route)
        app.include_router(module.router)
    return app
