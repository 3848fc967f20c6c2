"""Health of the database of a running server: damaged, emptied, away, or sound again.

A damaged database is not used: neither read, since what is in a cache would be answered in part,
nor written, since that could make it worse. Once a sound file is in its place, it is used again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event, Lock, Thread

from server.storage.sqlite_file import (
    DatabaseDamaged,
    DatabaseUnopenable,
    DatabaseUnusable,
    SqliteFile,
    StorageAway,
)
from server.storage.upgrade import check_records

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
LOOKS_UNTIL_AWAY = 3
"""Looks in a row that must not find the file before the server says that it is not ready: a file
that is replaced, or a storage that hesitates, is not away."""
_LOOKS_UNTIL_RECHECK = 10
"""Looks after which a damaged file is checked again although it has not changed."""
_TEMPORARY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}


class DatabaseHealth:
    """The state of one database's file, as far as it is known.

    Args:
        file: The file.
        tables: The names of its tables.
        let_go: Closes every connection, and forgets what is known about the file.
    """

    def __init__(
        self, file: SqliteFile, tables: Collection[str], let_go: Callable[[], None]
    ) -> None:
        self._file = file
        self._tables = tables
        self._let_go = let_go
        self._unusable: DatabaseUnusable | None = None
        self._away: StorageAway | None = None
        self._missed = 0
        self._checked: tuple[int, ...] | None = None
        self._looks = 0
        self._ended = Event()
        self._noting = Lock()
        self._thread = Thread(target=self._watch, name="palimpsest-database", daemon=True)

    @property
    def error(self) -> DatabaseUnusable | StorageAway | None:
        """The reason why the database cannot be used now, and what to do; None if it can be."""
        return self._unusable or self._away

    def start(self) -> None:
        """Look at the file every second from now on."""
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
        if self._unusable is None:
            try:
                self._file.check_kind()
            except StorageAway:
                return  # connecting says more about it
            except DatabaseUnusable as error:
                self._note(error)
        if self._unusable is not None:
            raise DatabaseUnusable(str(self._unusable))  # threads must not share a traceback

    def explained(self, error: sqlite3.Error) -> DatabaseUnusable | None:
        """Return the damage that an error of SQLite comes from; None if it has another cause."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _TEMPORARY:
            return None
        found = self._file.damage(error) or self._look()
        if not isinstance(found, DatabaseUnusable):
            return None
        self._note(found)
        return found

    def look(self) -> None:
        """Look at the file once, and say in the log if its state has changed."""
        if self._unusable is not None:
            self._recheck()
            return
        found = self._look()
        if isinstance(found, DatabaseUnusable):
            self._note(found)
        elif found is None:
            if self._away is not None:
                log.info("%s is back", self._file.path)
            self._away, self._missed = None, 0
        else:
            self._missed += 1
            if self._missed == LOOKS_UNTIL_AWAY:
                log.warning("%s The server is not ready until it is back.", found)
            if self._missed >= LOOKS_UNTIL_AWAY:
                self._away = found

    def _look(self) -> DatabaseUnusable | StorageAway | None:
        try:
            self._file.look(self._tables)
        except DatabaseUnopenable as error:  # also of too many open files: it may be again
            return StorageAway(str(error))
        except (DatabaseUnusable, StorageAway) as error:
            return error
        return None

    def _note(self, error: DatabaseUnusable) -> None:
        with self._noting:  # many requests may meet the same damage at once
            if self._unusable is not None:
                return
            self._checked = _signature(self._file.path)
            self._unusable, self._looks = error, 0
        log.error("%s", error)
        self._let_go()

    def _recheck(self) -> None:
        self._looks += 1
        signature = _signature(self._file.path)
        if signature == self._checked and self._looks % _LOOKS_UNTIL_RECHECK:
            return
        try:
            self._file.check_kind()
            state = check_records(self._file, has_jobs=True, in_use=True)
            if state != "current":
                raise DatabaseUnusable(
                    f"{self._file.path} was written by an earlier version of Palimpsest: restart "
                    "the server, which upgrades it."
                )
        except (DatabaseUnopenable, StorageAway):
            return  # not back yet, or still being written
        except DatabaseUnusable as error:
            if str(error) != str(self._unusable):
                self._tell(error, signature)
            self._checked = _signature(self._file.path)
            return
        self._let_go()
        self._unusable = self._away = None
        self._missed = 0
        log.info("%s can be used again", self._file.path)

    def _tell(self, error: DatabaseUnusable, signature: tuple[int, ...] | None) -> None:
        is_same_file = bool(signature and self._checked and signature[0] == self._checked[0])
        # The end of the last connection can write to the file, which then shows other damage.
        if not (is_same_file and isinstance(error, DatabaseDamaged)):
            log.error("%s", error)
        self._unusable = error

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_INTERVAL_S):
            try:
                self.look()
            except Exception:  # the next look may say more
                log.exception("the database could not be looked at")


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
