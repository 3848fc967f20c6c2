"""Cross-origin requests: the web pages that a browser lets call this server."""

from __future__ import annotations

from typing import Any

from server.settings import Settings

_EXPOSED = (
    "content-disposition",
    "content-range",
    "etag",
    "openai-poll-after-ms",
    "retry-after",
    "traceparent",
    "x-inference-time-s",
    "x-model",
    "x-request-id",
    "x-video-id",
)


def cors_options(settings: Settings) -> dict[str, Any]:
    """Return the options of Starlette's `CORSMiddleware`.

    A preflight needs no key: a browser never sends one with it. No cookie is ever used, so
    credentials mean the Authorization header alone, which is among the allowed headers.
    """
    return {
        "allow_origins": list(settings.cors_origins),
        "allow_methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
        "allow_headers": ["*"],
        "expose_headers": list(_EXPOSED),
        "max_age": 600,
    }
