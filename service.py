"""Palimpsest as a BentoML service: `bentoml serve service:Palimpsest`.

The HTTP API is a FastAPI app (`server.api.app`), imported only in the process that serves it
(`server.lazy_app`). Models load in the thread that owns the device. So this module imports no torch
and little else. Settings are environment variables (`server.settings`).
"""

from __future__ import annotations

import bentoml
from starlette.middleware.cors import CORSMiddleware

from server.auth import bind_address
from server.auth.app_first import AppFirst
from server.auth.cors import cors_options
from server.auth.guard import Guard
from server.auth.keys import keyring_of
from server.auth.sub_path import SubPath
from server.lazy_app import LazyApp
from server.parent_watchdog import announce_parent, die_with_parent
from server.settings import Settings

settings = Settings()
keyring = keyring_of(settings.keys_file)
app = LazyApp(settings)
die_with_parent()


@bentoml.service(
    name="palimpsest",
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},  # the guard logs more (server.logs)
    traffic={"timeout": 86_400},
    http={"host": str(settings.host), "port": settings.port},  # pyright: ignore[reportArgumentType]
)
@bentoml.asgi_app(app, path="/")
class Palimpsest:
    """A text-to-video model that can forget: base and unlearned encoders, side by side."""

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Check the address in BentoML's parent process, before a port is opened."""
        bind_address.check(settings)
        announce_parent()

    async def __is_ready__(self) -> bool:
        """Return True once the models are loaded."""
        return app.ready


if settings.cors_origins:
    Palimpsest.add_asgi_middleware(CORSMiddleware, **cors_options(settings))  # pyright: ignore[reportArgumentType]
Palimpsest.add_asgi_middleware(SubPath, root_path=settings.root_path)  # pyright: ignore[reportArgumentType]
Palimpsest.add_asgi_middleware(
    Guard,  # pyright: ignore[reportArgumentType]  # typed as an instance, but the class is needed
    keyring=keyring,
    max_body_bytes=settings.max_body_bytes,
    observe=app.observe,
)
Palimpsest.add_asgi_middleware(
    AppFirst,  # pyright: ignore[reportArgumentType]
    first=app,
    paths=frozenset({"/schema.json"}),  # BentoML's would list no route: `/generate` is the app's
)
