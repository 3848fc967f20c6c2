"""Palimpsest as a BentoML service: ``bentoml serve service:Palimpsest``.

The HTTP API is a FastAPI app (:mod:`server.app`); models load in the thread that owns the device,
so that nothing here imports torch. Settings are environment variables (:mod:`server.settings`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import bentoml
from bentoml.validators import ContentType

from encoders import PalimpsestError
from server import address, native
from server.app import create_app
from server.errors import error_response
from server.guard import Guard, caller_of
from server.parent import announce_parent, die_with_parent
from server.settings import Settings

settings = Settings()
app = create_app(settings)
die_with_parent()


@bentoml.service(
    name="palimpsest",
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},  # the guard's lines say more (server.logs)
    traffic={"timeout": 86_400},
    http={"host": str(settings.host), "port": settings.port},  # pyright: ignore[reportArgumentType]
)
@bentoml.asgi_app(app, path="/")
class Palimpsest:
    """A text-to-video model that can forget: base and unlearned encoders, side by side."""

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """In the parent, before a port is opened."""
        address.check(settings)
        announce_parent()

    async def __is_ready__(self) -> bool:
        """Whether the models are loaded."""
        return app.state.runtime.ready

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
            caller = caller_of(ctx.request)
            return await native.generate(app.state.runtime, caller, prompt, encoder, seed)
        except PalimpsestError as error:
            # BentoML sends a Response as it is, so the error keeps its shape.
            answer = error_response(error)
            ctx.response.status_code = answer.status_code
            return cast(Path, answer)


# BentoML types the middleware as its instance; what it wants is the class.
Palimpsest.add_asgi_middleware(Guard, **app.state.guard)  # pyright: ignore[reportArgumentType]
