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

BUSY_TIMEOUT_S = 30
"""Time that a transaction waits for another one to release the database's lock."""


TABLES: tuple[type[Base], ...] = (VideoRecord, EncoderRecord, KeyRow, UsageRow, RateRow, AliasRow)
"""Every table. Naming them here declares them in `Base.metadata`."""


class Database:
    """One SQLite file with all tables. Its sessions may be used on any thread.

    Args:
        path: The file; it and its folder are created if absent.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        # Writers take SQLite's lock when they begin: a transaction that has read already cannot
        # wait for the lock, since SQLite refuses it at once.
        self._writer = self._engine.execution_options(immediate=True)
        Base.metadata.create_all(self._writer)

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
