"""Health of an SQLite file: damaged, emptied, away, or sound again."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Lock

from server.storage.database_health import DatabaseHealth
from server.storage.sqlite_file import SqliteFile
from server.storage.sqlite_records import check_records
from server.storage.storage_errors import (
    DatabaseDamaged,
    DatabaseUnopenable,
    DatabaseUnusable,
    StorageAway,
)

log = logging.getLogger(__name__)

_LOOKS_UNTIL_RECHECK = 10
"""Looks after which a damaged file is checked again although it has not changed."""
_TEMPORARY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}


class SqliteHealth(DatabaseHealth):
    """The state of one database's file, as far as it is known.

    Args:
        file: The file.
        tables: The names of its tables.
        let_go: Closes every connection, and forgets what is known about the file.
    """

    def __init__(
        self, file: SqliteFile, tables: Collection[str], let_go: Callable[[], None]
    ) -> None:
        super().__init__(str(file.path))
        self._file = file
        self._tables = tables
        self._let_go = let_go
        self._checked: tuple[int, ...] | None = None
        self._looks = 0
        self._noting = Lock()

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
        super().require()

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
            self._is_there()
        else:
            self._is_away(found)

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


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
