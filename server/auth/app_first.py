"""Paths that our app answers, although BentoML has routes of its own for them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from starlette.types import ASGIApp, Receive, Scope, Send


class AppFirst:
    """ASGI middleware that sends these paths to `first`, and all others to the service.

    It belongs behind the guard.
    """

    def __init__(self, app: ASGIApp, *, first: ASGIApp, paths: AbstractSet[str]) -> None:
        self._app = app
        self._first = first
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"] in self._paths
        await (self._first if ours else self._app)(scope, receive, send)
