"""Waiting for storage: work that meets an outage is repeated until it ends in another way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TypeVar

from encoders import EncoderInvalid, EncoderNotFound
from server.outage import brief, is_outage
from server.storage.owned_names import is_servers

log = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_REPEATS_OF_OTHERS = 3
"""Repeats after an error of the operating system that is no known outage."""


class ServerStopping(Exception):
    """The server is stopping; the job continues at the next start."""


class StorageWait:
    """Patience with the storage of one server.

    Args:
        stopping: Set when the server stops.
        data_dir: The data directory. If it is away, files that are not found say nothing.
        store_is_there: Returns True if what is not found in the store of the files is absent.
    """

    def __init__(
        self,
        stopping: Event,
        data_dir: Path,
        store_is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self._stopping = stopping
        self._data_dir = data_dir
        self._store_is_there = store_is_there

    def run(self, what: str, action: Callable[[], T]) -> T:
        """Return the result of `action()`; while storage is out, wait and call it again.

        Args:
            what: The action in the log, such as "store video_1".
            action: May be called many times.

        Raises:
            ServerStopping: The server stops while the action waits.
            Exception: The action's own error, if it is no outage.
        """
        pause, others = _FIRST_PAUSE_S, 0
        waited = False
        while True:
            try:
                result = action()
            except Exception as error:
                if not self.is_outage(error):
                    others += 1
                    if not isinstance(error, OSError) or others > _REPEATS_OF_OTHERS:
                        raise
                if not waited and not self._stopping.is_set():
                    awaited = "a restart" if _is_of_engine(error) else "storage"
                    log.warning("waiting for %s: %s: %s", awaited, what, brief(error))
                waited = True
                if self._stopping.wait(pause):
                    raise ServerStopping from error
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            if waited:
                log.info("storage is back: %s", what)
            return result

    def is_outage(self, error: Exception) -> bool:
        """Return True if the error is an outage, or may follow from one.

        An engine that has stopped is one too: its jobs wait for the restart that repairs it.
        """
        if is_outage(error) or _is_of_engine(error):
            return True
        not_found = isinstance(error, OSError | EncoderNotFound | EncoderInvalid)
        return not_found and not self._is_there()

    def _is_there(self) -> bool:
        probe = self._data_dir / ".probe"
        try:
            if not is_servers(self._data_dir):
                return False
            if not self._store_is_there():
                return False
            probe.write_bytes(b"\0")
            probe.unlink()
        except OSError:
            return False
        return True


def _is_of_engine(error: Exception) -> bool:
    return getattr(error, "code", None) == "engine_stopped"
