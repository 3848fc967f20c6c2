"""Ids of a request: its own, and the trace that it is part of (W3C Trace Context)."""

from __future__ import annotations

import re
import secrets
import uuid

from starlette.datastructures import Headers

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})(-.*)?"
)


def request_id_of(headers: Headers) -> str:
    """Return the caller's X-Request-Id, or a new id if it sent none that can be used.

    Usable are 1 to 128 of A-Z, a-z, 0-9, ".", "_" and "-": the id is written into the log.
    """
    sent = headers.get("x-request-id", "")
    return sent if _REQUEST_ID.fullmatch(sent) else f"req_{uuid.uuid4().hex}"


def traceparent_of(headers: Headers) -> str | None:
    """Return the `traceparent` of this server's own span; None if the caller sent none.

    It has the caller's trace id and flags, and a new span id. A header that is not valid is
    ignored, as the standard wants.
    """
    sent = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip())
    if sent is None:
        return None
    return f"00-{sent['trace']}-{secrets.token_hex(8)}-{sent['flags']}"
