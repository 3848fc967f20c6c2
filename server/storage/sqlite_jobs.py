"""DBOS's database as an SQLite file, `jobs.sqlite`."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, closing
from pathlib import Path

from dbos import DBOSConfig, _migration

from server.storage.jobs_database import JobsDatabase
from server.storage.sqlite_file import SqliteFile
from server.storage.storage_errors import DatabaseUnusable
from server.storage.upgrade import lacking

_REMEDY = (
    "stop the server and move this file away with its -wal and -shm files; the next start makes "
    "the pending jobs from records.sqlite"
)
_VERSION_TABLE = "dbos_migrations"
_WANTED = {
    "workflow_status": ("workflow_uuid", "status", "queue_name"),
    "operation_outputs": ("workflow_uuid", "function_id"),
}


class SqliteJobs(JobsDatabase):
    """DBOS's file. If it is damaged it can be made again.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, remedy=_REMEDY)

    def check(self) -> None:
        tables = self._file.tables()
        if not tables:
            return
        if _VERSION_TABLE not in tables:
            raise self._file.unusable("is not a database of DBOS")
        version = self._file.value(f"SELECT version FROM {_VERSION_TABLE}")
        if not isinstance(version, int):
            raise self._file.unusable(f"is damaged (version {version!r})")
        known = len(_migration.sqlite_migrations)
        if version > known:
            raise DatabaseUnusable(
                f"{self._file.path} was written by a newer version of DBOS ({version}, this one "
                f"knows {known}): install that version or a later one, or {_REMEDY}."
            )
        if version > 0 and (missing := lacking(tables, _WANTED)) is not None:
            raise self._file.unusable(f"is damaged ({missing} is missing)")

    def explained(self) -> AbstractContextManager[None]:
        return self._file.explained()

    def prepared(self) -> DBOSConfig:
        with closing(sqlite3.connect(self._file.path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # the file remembers it
        return {"system_database_url": f"sqlite:///{self._file.path}"}

    def close(self) -> None:
        """Do nothing: DBOS closes the connections that it opened."""
