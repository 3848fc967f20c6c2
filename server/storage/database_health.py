"""Health of the database of a running server: damaged, away, or sound again.

A damaged database is not used: neither read, since what is in a cache would be answered in part,
nor written, since that could make it worse. Once it is sound, it is used again.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from threading import Event, Thread

from server.storage.storage_errors import DatabaseUnusable, StorageAway

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
LOOKS_UNTIL_AWAY = 3
"""Looks in a row that must not reach the database before the server says that it is not ready: one
that is replaced or restarted, or a storage that hesitates, is not away."""


class DatabaseHealth(ABC):
    """The state of one database, as far as it is known.

    Args:
        name: The database in the log: its file, or where it is.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._unusable: DatabaseUnusable | None = None
        self._away: StorageAway | None = None
        self._missed = 0
        self._ended = Event()
        self._thread = Thread(target=self._watch, name="palimpsest-database", daemon=True)

    @property
    def error(self) -> DatabaseUnusable | StorageAway | None:
        """The reason why the database cannot be used now, and what to do; None if it can be."""
        return self._unusable or self._away

    def start(self) -> None:
        """Look at the database every second from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the looks."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def require(self) -> None:
        """Refuse a use of a damaged database.

        Raises:
            DatabaseUnusable: It is damaged, or was when somebody last looked.
        """
        if self._unusable is not None:
            raise DatabaseUnusable(str(self._unusable))  # threads must not share a traceback

    @abstractmethod
    def look(self) -> None:
        """Look at the database once, and say in the log if its state has changed."""

    def _is_there(self) -> None:
        if self._away is not None:
            log.info("%s is back", self._name)
        self._away, self._missed = None, 0

    def _is_away(self, found: StorageAway) -> None:
        self._missed += 1
        if self._missed == LOOKS_UNTIL_AWAY:
            log.warning("%s The server is not ready until it is back.", found)
        if self._missed >= LOOKS_UNTIL_AWAY:
            self._away = found

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_INTERVAL_S):
            try:
                self.look()
            except Exception:  # the next look may say more
                log.exception("the database could not be looked at")
