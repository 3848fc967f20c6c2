"""The guard: ASGI middleware that every request passes first, whichever app answers it.

It gives the request an id, identifies the caller, limits the body (`server.http.request_body`),
counts, times and logs the answer, and puts errors of the router and of BentoML into the API's
error shape.
BentoML's native routes are beside our FastAPI app, so the guard wraps the service, not the app.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from encoders.errors import PalimpsestError
from server import tracing
from server.auth import local_requests
from server.auth.keys import LOCAL, Caller
from server.auth.live_keys import WITHOUT_KEY, LiveKeys
from server.auth.proxies import TrustedProxies
from server.auth.request_ids import request_id_of, traceparent_of
from server.auth.request_spans import end_request_span, request_span
from server.errors import Forbidden, NotReady, error_body, error_response
from server.http.body_limits import BodyLimits
from server.http.request_body import RequestBody
from server.logs import REQUEST_ID, TRACE_ID

log = logging.getLogger(__name__)

PUBLIC_PATHS = frozenset(
    {"/", "/livez", "/readyz", "/healthz", "/health", "/docs", "/openapi.json"}
)
"""Paths that need no key: probes, and pages that are the same for every caller."""
PUBLIC_PREFIXES = ("/static_content/", "/studio/")
"""BentoML's copy of Swagger UI, which `/docs` uses, and the files of the studio's page."""

TAKES_IMAGES = frozenset({("POST", "/v1/encoders")})
"""Routes whose forms may be large, for an admin's key."""
TAKES_FILES = frozenset({("POST", "/v1/verify")})
"""Routes whose forms may be large, for every key."""

PROBES = frozenset({"/livez", "/readyz", "/healthz", "/health"})
NOT_LOGGED = PROBES | {"/metrics"}
"""Paths that monitoring requests every few seconds."""

_CALLER = "palimpsest.caller"
_KEYS = "palimpsest.keys"

Observe = Callable[[Scope, int, float], None]
"""Called for every answer with its scope, status and seconds to the last byte."""


class Guard:
    """ASGI middleware around the whole service.

    Args:
        app: the service.
        keys: the keys that are accepted; without any, only requests of this machine are.
        max_body_bytes: limit of a form with images.
        max_fields_bytes: limit of any other body.
        observe: called for every answer.
        proxies: the proxies whose headers are believed.
        allowed_origins: origins of web pages that may use a server without keys.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: LiveKeys,
        max_body_bytes: int,
        observe: Observe,
        max_fields_bytes: int = 64 << 10,
        proxies: TrustedProxies | None = None,
        allowed_origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._proxies = proxies or TrustedProxies()
        self._allowed_origins = allowed_origins
        self._keys = keys
        self._bodies = BodyLimits(max_fields_bytes, max_body_bytes)
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            with self._keys.watched():
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = Headers(scope=scope)
        ids = {"x-request-id": request_id_of(headers)}
        REQUEST_ID.set(ids["x-request-id"])
        WITHOUT_KEY.set(False)
        span = request_span(scope, headers) if scope["path"] not in NOT_LOGGED else None
        traceparent = tracing.traceparent(span) if span else traceparent_of(headers)
        TRACE_ID.set(traceparent and traceparent.split("-")[1])
        if traceparent is not None:
            ids["traceparent"] = traceparent
        response = _Response(send, ids, head=scope["method"] == "HEAD")
        try:
            with tracing.within(span):
                self._authenticate(scope)
                async with self._body(scope, receive) as body:
                    await self._app(scope, body.receive, body.guarded(response.send))
        except PalimpsestError as error:
            await error_response(error)(scope, receive, response.send)
        finally:
            if span is not None:
                key = scope.get(_CALLER)
                end_request_span(
                    span,
                    scope,
                    response.status,
                    error=response.error,
                    key=key.id if isinstance(key, Caller) else None,
                    request_id=ids["x-request-id"],
                )
            seconds = time.perf_counter() - started
            self._observe(scope, response.status, seconds)
            if scope["path"] not in NOT_LOGGED:
                _log(scope, response.status, seconds)

    def _authenticate(self, scope: Scope) -> None:
        """Store the caller in the scope. Raise Unauthorized or Forbidden if there is none."""
        forwarded = self._proxies.read(scope)
        scope[_KEYS] = self._keys
        if not self._keys.is_keyed:
            local_requests.check(scope, forwarded, self._allowed_origins)
            scope[_CALLER] = LOCAL
            WITHOUT_KEY.set(True)
        elif not _is_public(scope["path"]):
            scope[_CALLER] = self._keys.caller(Headers(scope=scope).getlist("authorization"))

    def _body(self, scope: Scope, receive: Receive) -> RequestBody:
        """Return the request's body, which the app reads within limits."""
        caller, route = scope.get(_CALLER), (scope["method"], scope["path"])
        key, slots = "", None
        if isinstance(caller, Caller):
            key = caller.id
            if route in TAKES_FILES:
                slots = self._bodies.file_slots
            elif route in TAKES_IMAGES and caller.role == "admin":
                slots = self._bodies.image_slots
        is_public = _is_public(scope["path"])
        return RequestBody(scope, receive, self._bodies, is_public=is_public, slots=slots, key=key)


def _is_public(path: str) -> bool:
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)


class _Response:
    """Forwards an answer with the request's ids, and errors in the API's shape."""

    def __init__(self, send: Send, ids: Mapping[str, str], *, head: bool) -> None:
        self.status = 500
        self.error = b""
        """Body of an answer of 400 or more."""
        self._send = send
        self._head = head
        self._ids = ids
        self._held_start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(self._ids)
            if self.status >= 400 and not self._head:
                self._held_start = message
            else:
                await self._send(message)
        elif self._held_start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                start, self._held_start = self._held_start, None
                self.error = body = as_error_body(self.status, self._body)
                headers = MutableHeaders(scope=start)
                headers["content-type"] = "application/json"
                headers["content-length"] = str(len(body))
                await self._send(start)
                await self._send({"type": "http.response.body", "body": body})


def caller_of(connection: HTTPConnection) -> Caller:
    """Return the sender of this request. Raise Forbidden if it did not pass the guard."""
    caller = connection.scope.get(_CALLER)
    if not isinstance(caller, Caller):
        raise Forbidden("The request did not come through the server's guard.")
    return caller


def is_operator(connection: HTTPConnection) -> bool:
    """Return True if the sender is an admin, on a path that is not for everybody."""
    caller = connection.scope.get(_CALLER)
    is_admin = isinstance(caller, Caller) and caller.role == "admin"
    return is_admin and not _is_public(connection.scope["path"])


def check_key(connection: HTTPConnection) -> None:
    """Raise Unauthorized if the key of a request that goes on was revoked, or has expired.

    While the keys cannot be read, the request may go on.
    """
    keys = connection.scope.get(_KEYS)
    if isinstance(keys, LiveKeys) and keys.is_keyed:
        with suppress(NotReady):
            keys.caller(Headers(scope=connection.scope).getlist("authorization"))


def refresh_keys(connection: HTTPConnection) -> None:
    """Read the keys again now: a key that was just revoked is refused from here on."""
    keys = connection.scope.get(_KEYS)
    if isinstance(keys, LiveKeys):
        keys.refresh()


def _log(scope: Scope, status: int, seconds: float) -> None:
    """Log an answer, without the query: some clients put a key there."""
    caller = scope.get(_CALLER)
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "seconds": round(seconds, 4),
        "caller": caller.id if isinstance(caller, Caller) else None,
    }
    log.info("answered", extra=fields)


def as_error_body(status: int, body: bytes) -> bytes:
    """Return `body` if it has the API's error shape, else a body of that shape with its message."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        document = body.decode("utf-8", "replace").strip() or None
    if isinstance(document, dict) and isinstance(document.get("error"), dict):
        return body
    if isinstance(document, list) and document:  # BentoML wraps some errors in a list
        document = document[0]
    message = document
    if isinstance(document, dict):
        message = document.get("error")
        for detail in document.get("detail") or []:
            field = ".".join(str(place) for place in detail.get("loc", []))
            message = f"{message}; {field}: {detail.get('msg')}"
    return json.dumps(error_body(status, str(message or f"HTTP {status}"))).encode()
