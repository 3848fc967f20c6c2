"""Serving below a path: a proxy's `https://host/video/…` is this server's `/…`."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.auth.proxies import TrustedProxies, forwarded_of

_PREFIX = "palimpsest.prefix"
_ELSEWHERE = "palimpsest.elsewhere"


class SubPath:
    """ASGI middleware that takes a path's prefix off, and puts it in front of redirects.

    It does not set `root_path`: Starlette would take that off again, from paths such as
    `/v1/videos` too if the prefix is `/v1`.

    Args:
        app: the service.
        root_path: the prefix, such as `/video`; "" for none.
        proxies: the proxies whose X-Forwarded-Prefix is believed; it replaces `root_path`.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        prefix = self._proxies.read(scope).prefix or self._root_path

        elsewhere: list[str] = []

        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                _put_prefix(message, prefix, elsewhere)
            await send(message)

        ours = {_PREFIX: prefix, _ELSEWHERE: elsewhere}
        await self._app({**scope, **_without(scope, prefix), **ours}, receive, forward)


def prefix_of(connection: HTTPConnection) -> str:
    """Return the path below which the client sees this server; "" for none."""
    return connection.scope.get(_PREFIX, "")


def base_url_of(connection: HTTPConnection) -> str:
    """Return the address of this server as the client sees it, without a slash at its end."""
    forwarded = forwarded_of(connection.scope)
    host = forwarded.host or connection.base_url.netloc
    return f"{forwarded.proto}://{host}{prefix_of(connection)}"


def lead_elsewhere(connection: HTTPConnection, url: str) -> None:
    """Let a redirect to this URL leave the server, if it is the answer."""
    connection.scope.get(_ELSEWHERE, []).append(url)


def _without(scope: Scope, prefix: str) -> dict[str, object]:
    """Return `path` and `raw_path` without the prefix, for a proxy that did not take it off."""
    path, raw = scope["path"], scope.get("raw_path") or b""
    if not prefix or not (path == prefix or path.startswith(f"{prefix}/")):
        return {}
    return {
        "path": path.removeprefix(prefix) or "/",
        "raw_path": raw.removeprefix(prefix.encode()) or b"/",
    }


def _put_prefix(message: Message, prefix: str, elsewhere: Collection[str]) -> None:
    """Make `Location` a path of the client's: a host or scheme from here may be a proxy's."""
    headers = MutableHeaders(scope=message)
    location = headers.get("location")
    if location is not None and location not in elsewhere:
        parts = urlsplit(location)
        query = f"?{parts.query}" if parts.query else ""
        # One slash: a path that begins with two is another host's address.
        headers["location"] = f"{prefix}/{parts.path.lstrip('/')}{query}"
