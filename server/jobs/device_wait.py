"""Waiting for the device: work that finds no memory on it is repeated for about a minute.

The engine halves a batch that does not fit, so memory is short for a single request only while
something else holds it (another process, a display), or if the request never fits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from server.jobs.storage_wait import ServerStopping
from video.engine.ticket import OutOfMemory

log = logging.getLogger(__name__)
T = TypeVar("T")

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between two tries."""


def with_device_memory(stopping: Event, what: str, action: Callable[[], T]) -> T:
    """Return the result of `action()`; while the device has no room, wait and call it again.

    Args:
        stopping: Set when the server stops.
        what: The action in the log.
        action: May be called several times.

    Raises:
        ServerStopping: The server stops meanwhile.
        OutOfMemory: There was no room in any of the tries.
        Exception: The action's own error, if it is another one.
    """
    for pause in PAUSES_S:
        try:
            return action()
        except OutOfMemory as error:
            log.warning("%s waits %g s: %s", what, pause, error)
            if stopping.wait(pause):
                raise ServerStopping from error
    return action()
