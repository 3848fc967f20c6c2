"""The server's database: SQLite beside the data, shared by all classes of tables."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.orm import Session

from server.storage.alias_rows import AliasRow
from server.storage.key_rows import KeyRow, RateRow, UsageRow
from server.storage.records import EncoderRecord, VideoRecord
from server.storage.schema import Base
from server.storage.sqlite_file import DatabaseUnusable, SqliteFile
from server.storage.upgrade import check_records, upgrade

BUSY_TIMEOUT_S = 30
"""Time that a transaction waits for another one to release the database's lock."""
_REMEDY = (
    "restore it from a backup (docs/OPERATIONS.md), or set PALIMPSEST_DATA_DIR to a new directory"
)

TABLES: tuple[type[Base], ...] = (VideoRecord, EncoderRecord, KeyRow, UsageRow, RateRow, AliasRow)
"""Every table. Naming them here declares them in `Base.metadata`."""


class Database:
    """One SQLite file with all tables. Its sessions may be used on any thread.

    Args:
        path: The file; it and its folder are created if absent.
        jobs: DBOS's database, if there is one. If it holds something, an absent or empty `path` is
            one that was lost.
        may_upgrade: False to refuse the tables of an earlier version. Only the holder of the data
            directory's lock may upgrade them: an earlier version's server may be using them.

    Raises:
        DatabaseUnusable: The file is damaged, another program's or a newer version's, or cannot be
            opened. The message says what to do.
        StorageAway: The file cannot be used just now.
    """

    def __init__(self, path: Path, *, jobs: Path | None = None, may_upgrade: bool = True) -> None:
        self.file = SqliteFile(path, remedy=_REMEDY)
        with self.file.explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            has_jobs = jobs is not None and jobs.is_file() and jobs.stat().st_size > 0
        state = check_records(self.file, has_jobs=has_jobs)
        if state == "earlier" and not may_upgrade:
            raise DatabaseUnusable(
                f"{path} was written by an earlier version of Palimpsest: start the server once, "
                "which upgrades it."
            )
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        # Writers take SQLite's lock when they begin: a transaction that has read already cannot
        # wait for the lock, since SQLite refuses it at once.
        self._writer = self._engine.execution_options(immediate=True)
        with self.file.explained():
            if state != "current":
                upgrade(self._writer)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def scrub(self) -> None:
        """Rewrite the file without what was deleted, and empty the write-ahead log.

        Writers wait meanwhile. Readers that are under way can keep the log from being emptied, so
        it is tried for some seconds.
        """
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("VACUUM")
            for _ in range(50):
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy, *_ = cursor.fetchone() or (1,)
                if not busy:
                    break
                time.sleep(0.1)
            cursor.close()
        finally:
            connection.close()

    @contextmanager
    def reading(self) -> Generator[Session]:
        """Yield a session that sees one state of the database, and must not write."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Generator[Session]:
        """Yield a session whose changes are committed together at the end, or not at all."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session


def _configure(connection: Any, record: Any) -> None:
    # `_begin` begins every transaction, so the driver must not.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # An accepted job must survive a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    # What is deleted is overwritten: prompts must not stay in free pages.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
