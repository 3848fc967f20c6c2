"""Check of an SQLite file before it is used, and the meaning of SQLite's errors."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Collection
from contextlib import AbstractContextManager, closing
from pathlib import Path
from urllib.parse import quote

from server.storage.storage_errors import (
    DatabaseDamaged,
    DatabaseUnusable,
    StorageAway,
    cause_of,
    meaning,
    told_as,
    unopenable,
)

_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
}
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT}
_BUSY_TIMEOUT_S = 5
_SMALLEST_BYTES = 512
_COLUMNS = "SELECT name FROM pragma_table_info(?)"


class SqliteFile:
    """One SQLite file, with the words of its errors.

    Args:
        path: The file, which need not exist.
        remedy: An operator's remedy if the content cannot be used, as a clause.
    """

    def __init__(self, path: Path, *, remedy: str) -> None:
        self.path = path
        self._remedy = remedy

    def tables(self, *, in_use: bool = False) -> dict[str, set[str]]:
        """Check that the file can be read and written, and return table → names of its columns.

        A file that is absent or empty has no tables.

        Args:
            in_use: True for a file that a running server has used: it is never created, and its
                indexes are checked too, which takes longer.

        Raises:
            DatabaseUnusable: The file is damaged, no SQLite file, or cannot be opened or written.
            StorageAway: It cannot be used just now.
        """
        with self.explained():
            if self.path.exists() and not self.path.is_file():
                raise self.unusable("is not a file")
            # SQLite takes a file that is shorter than any database for an empty one.
            if self.path.exists() and 0 < self.path.stat().st_size < _SMALLEST_BYTES:
                raise self.unusable("is damaged or no SQLite database")
            with closing(self._connect("rw" if in_use else "rwc")) as connection:
                connection.isolation_level = None
                check = "integrity_check" if in_use else "quick_check"
                found = connection.execute(f"PRAGMA {check}(1)").fetchone()
                if found != ("ok",):
                    raise self.unusable("is damaged")
                connection.execute("BEGIN IMMEDIATE")
                # A write, undone: BEGIN alone does not fail on a file that cannot be written.
                connection.execute("CREATE TABLE palimpsest_check (number)")
                connection.execute("ROLLBACK")
                names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                return {
                    name: {row[0] for row in connection.execute(_COLUMNS, (name,))}
                    for (name,) in names.fetchall()
                    if not name.startswith("sqlite_")
                }

    def look(self, wanted: Collection[str]) -> None:
        """Check that the file of a running server is there, and that its tables can be read.

        This takes less than a millisecond, and finds no damage inside a table.

        Args:
            wanted: Names of the tables.

        Raises:
            DatabaseUnusable: The file is damaged, emptied, or lacks a table.
            StorageAway: It is not there, or cannot be read just now.
        """
        self.check_kind()
        with self.explained(), closing(self._connect("ro")) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            there = {name for (name,) in names}
            for table in wanted:
                if table not in there:
                    raise self.unusable(f"is damaged ({table} is missing)")
                connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()

    def check_kind(self) -> None:
        """Check that the file of a running server is a file, and not an empty one.

        Raises:
            DatabaseUnusable: It is none. SQLite would wait for the other end of a pipe for ever.
            StorageAway: It is not there.
        """
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise StorageAway(f"{self.path} is away: {error.strerror}.") from error
        if not stat.S_ISREG(found.st_mode):
            raise self.unusable("is not a file")
        if found.st_size < _SMALLEST_BYTES:
            raise self.unusable("is damaged or no SQLite database" if found.st_size else "is empty")

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)

    def value(self, query: str) -> object:
        """Return the first value of a query; None if it has no rows."""
        with self.explained(), closing(sqlite3.connect(self.path)) as connection:
            row = connection.execute(query).fetchone()
        return None if row is None else row[0]

    def damage(self, error: sqlite3.Error) -> DatabaseUnusable | None:
        """Return the error for a damaged file, if SQLite's error says that it is one."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            return self.unusable(f"is damaged or no SQLite database ({error})")
        return None

    def unusable(self, fault: str) -> DatabaseDamaged:
        """Return the error for a file whose content cannot be used."""
        return DatabaseDamaged(f"{self.path} {fault}: {self._remedy}.")

    def explained(self) -> AbstractContextManager[None]:
        """Turn SQLite's and the system's errors inside the block into those of `storage_errors`.

        Raises:
            DatabaseUnusable: An operator has to do something.
            StorageAway: Trying again may help.
        """
        return told_as(self._meaning)

    def _meaning(self, error: Exception) -> Exception | None:
        cause: sqlite3.Error | OSError | None = cause_of(error, sqlite3.Error, OSError)
        if cause is None:
            return None
        if isinstance(cause, OSError):
            return meaning(self.path, cause)
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in _AWAY:
            return StorageAway(f"{self.path} cannot be used just now: {cause}.")
        if code in _DAMAGED:
            return self.unusable(f"is damaged or no SQLite database ({cause})")
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return unopenable(self.path, str(cause))
        return self.unusable(f"cannot be used ({cause})")
