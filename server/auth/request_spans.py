"""Spans of requests: one for each that is logged, below the span that its caller names.

Their attributes are those of OpenTelemetry's conventions for HTTP, but for the path: it can hold
the id of an encoder, which mostly says what the encoder forgets. The route has the same shape.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Scope

from server import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def request_span(scope: Scope, headers: Headers) -> Span | None:
    """Begin the span of a request; None while tracing is off."""
    method = _method(scope)
    return tracing.begin(
        method,
        parent=headers.get("traceparent"),
        kind="server",
        attributes={"http.request.method": method, "url.scheme": scope.get("scheme")},
    )


def end_request_span(
    span: Span, scope: Scope, status: int, *, error: bytes, key: str | None, request_id: str
) -> None:
    """End the span of a request that was answered.

    Args:
        span: The span.
        scope: The request's; the router has put its route there.
        status: The answer's.
        error: Body of an answer of 400 or more, in the API's shape.
        key: Id of the caller's key.
        request_id: The request's id, which the log has too.
    """
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.update_name(f"{_method(scope)} {route}")
        span.set_attribute("http.route", route)
    if key is not None:
        span.set_attribute("palimpsest.key", key)
    span.set_attribute("palimpsest.request", request_id)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        tracing.fail(span, _code(error) or str(status))
    elif status >= 400:  # a refusal is no fault of the server
        span.set_attribute("error.type", _code(error) or str(status))
    span.end()


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "_OTHER"


def _code(error: bytes) -> str | None:
    with suppress(ValueError, KeyError, TypeError):
        code = json.loads(error)["error"]["code"]
        return code if isinstance(code, str) else None
    return None
