"""What the server says of itself: a line of JSON each on stderr, with the id of the request that it
is about. Every answer has that id in its ``x-request-id``.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being answered, or whose job is being worked on."""

ROOMS = ("palimpsest", "encoders", "server", "unlearn", "video")
"""Of these we write the lines; what other packages log goes where BentoML puts it."""


def set_up() -> None:
    """Have our lines written from now on. Doing it twice is doing it once."""
    formatter = JsonFormatter(
        ["levelname", "name", "message", "request_id"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )
    for room in ROOMS:
        logger = logging.getLogger(room)
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        handler.addFilter(_name_request)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def _name_request(record: logging.LogRecord) -> bool:
    record.request_id = REQUEST_ID.get()
    return True
