"""Conditional requests: answered with 304 if the client has the current version (RFC 9110, 13)."""

from __future__ import annotations

from contextlib import suppress
from email.utils import parsedate_to_datetime

from fastapi import Request


def has_current(request: Request, etag: str, modified: float | None = None) -> bool:
    """Return True if the client's copy is current, so that 304 is the answer.

    Args:
        request: If-None-Match decides, or without it If-Modified-Since; only for GET and HEAD.
        etag: the current version's tag, with its quotes.
        modified: time of its last change in Unix seconds; None if that is not known.
    """
    if request.method not in ("GET", "HEAD"):
        return False
    known = request.headers.get("if-none-match")
    if known is not None:
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        return bool({"*", etag} & tags)
    since = request.headers.get("if-modified-since")
    if since is None or modified is None:
        return False
    with suppress(ValueError, OverflowError):
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    return False  # no date: as if it had not been sent
