"""Palimpsest as a BentoML service: ``bentoml serve service:Palimpsest``.

The HTTP API is a FastAPI app (:mod:`server.api.app`), put together where and when it is served
(:mod:`server.lazy_app`); models load in the thread that owns the device. So nothing here imports
torch,
nor much else. Settings are environment variables (:mod:`server.settings`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import bentoml
from bentoml.validators import ContentType

from encoders import PalimpsestError
from server.auth import bind_address
from server.auth.guard import Guard, caller_of
from server.auth.keys import keyring_of
from server.errors import error_response
from server.lazy_app import LazyApp
from server.parent_watchdog import announce_parent, die_with_parent
from server.settings import Settings

settings = Settings()
keyring = keyring_of(settings.keys_file)
site = LazyApp(settings)
die_with_parent()


@bentoml.service(
    name="palimpsest",
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},  # the guard's lines say more (server.logs)
    traffic={"timeout": 86_400},
    http={"host": str(settings.host), "port": settings.port},  # pyright: ignore[reportArgumentType]
)
@bentoml.asgi_app(site, path="/")
class Palimpsest:
    """A text-to-video model that can forget: base and unlearned encoders, side by side."""

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """In the parent, before a port is opened."""
        bind_address.check(settings)
        announce_parent()

    async def __is_ready__(self) -> bool:
        """Whether the models are loaded."""
        return site.ready

    @bentoml.api
    async def generate(
        self,
        ctx: bentoml.Context,
        prompt: str,
        encoder: str | None = None,
        seed: int | None = None,
    ) -> Annotated[Path, ContentType("video/mp4")]:
        """Makes one video and returns its mp4."""
        try:
            runtime, caller = site.runtime, caller_of(ctx.request)
            from server.api import native  # part of the app: see server.site

            return await native.generate(runtime, caller, prompt, encoder, seed)
        except PalimpsestError as error:
            # BentoML sends a Response as it is, so the error keeps its shape.
            answer = error_response(error)
            ctx.response.status_code = answer.status_code
            return cast(Path, answer)


Palimpsest.add_asgi_middleware(
    Guard,  # pyright: ignore[reportArgumentType]  # typed as its instance; it wants the class
    keyring=keyring,
    max_body_bytes=settings.max_body_bytes,
    observe=site.observe,
)
