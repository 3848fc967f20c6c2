"""Logs of the server: a line of JSON each on stderr, with the id of the request it is about.

Every HTTP answer has this id in its header `x-request-id`.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

from server import safe_errors

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that is being answered, or whose job is being worked on."""

TRACE_ID: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""Id of the trace that the request or its job is part of, if there is one."""

ROOMS = ("palimpsest", "encoders", "server", "unlearn", "video")
"""Loggers whose lines are written here; BentoML writes those of other packages."""


def set_up() -> None:
    """Write the log lines of the server's rooms from now on. A second call changes nothing.

    From now on no logger of the process writes users' texts (`server.safe_errors`).
    """
    safe_errors.install()
    formatter = JsonFormatter(
        ["levelname", "name", "message", "request_id"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )
    for room in ROOMS:
        logger = logging.getLogger(room)
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        handler.addFilter(_add_request_id)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = REQUEST_ID.get()
    if TRACE_ID.get() is not None:
        record.trace_id = TRACE_ID.get()
    return True
