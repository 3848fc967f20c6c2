"""The database as an SQLite file beside the data."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, func
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import Session

from server.storage import tables, writers_turn
from server.storage.database import Database
from server.storage.sqlite_file import SqliteFile
from server.storage.sqlite_health import SqliteHealth
from server.storage.sqlite_keys import keys_in
from server.storage.sqlite_notices import SqliteNotices
from server.storage.sqlite_records import check_records
from server.storage.upgrade import create, upgrade, written_earlier
from server.storage.writers_turn import WritersTurn

_REMEDY = (
    "restore it from a backup (docs/OPERATIONS.md), or set PALIMPSEST_DATA_DIR to a new directory"
)


class SqliteDatabase(Database):
    """One SQLite file with all tables.

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

    is_shared = False
    clock = (func.julianday("now") - 2440587.5) * 86400.0

    def __init__(self, path: Path, *, jobs: Path | None = None, may_upgrade: bool = True) -> None:
        super().__init__()
        self._file = SqliteFile(path, remedy=_REMEDY)
        self.name = str(path)
        with self._file.explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            has_jobs = jobs is not None and jobs.is_file() and jobs.stat().st_size > 0
        self._path = path
        self._admitted: int | None = None
        state = check_records(self._file, has_jobs=has_jobs)
        if state == "earlier" and not may_upgrade:
            raise written_earlier(self.name)
        with self._file.explained():
            path.touch()
        self._engine = create_engine(
            # A connection must not create the file: it would be an empty database in the place of
            # one that is away for a moment.
            f"sqlite:///file:{path.resolve()}?mode=rw&uri=true",
            connect_args={"timeout": writers_turn.BUSY_TIMEOUT_S},
            hide_parameters=True,  # errors are logged, and prompts are not
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "connect", self._remember_file)
        event.listen(self._engine, "checkout", self._check_file)
        event.listen(self._engine, "begin", _begin)
        # Writers take SQLite's lock when they begin: a transaction that has read already cannot
        # wait for the lock, since SQLite refuses it at once.
        self._writer = self._engine.execution_options(immediate=True)
        # SQLite lets waiting writers sleep and try again: the turn is faster.
        self._turn = WritersTurn(_is_busy)
        self.notices = SqliteNotices()
        self.health = self._health = SqliteHealth(self._file, tables.NAMES, self._let_go)
        if state != "current":
            with self._file.explained(), self._writer.begin() as connection:
                (create if state == "new" else upgrade)(connection)

    @property
    def is_locked(self) -> bool:
        return self._turn.is_locked

    def lock(self, session: Session, name: str) -> None:
        """Do nothing: SQLite has one writer at a time."""

    def explained(self) -> AbstractContextManager[None]:
        return self._file.explained()

    def close(self) -> None:
        self.health.stop()
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
        with self._told_of_damage(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, alone: bool = True, durable: bool = True) -> Generator[Session]:
        # Whatever it asks for: SQLite has one writer at a time, who waits for the disk.
        with (
            self._told_of_damage(),
            self._turn.taken(),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
        self.notices.after_commit(session)

    @contextmanager
    def _told_of_damage(self) -> Generator[None]:
        """Refuse the use of a damaged file, and raise the damage that an error comes from."""
        self.health.require()
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            damage = self._health.explained(cause) if isinstance(cause, sqlite3.Error) else None
            if damage is None:
                raise
            raise damage from error

    def _let_go(self) -> None:
        self._admitted = None  # the file may have other keys when it is used again
        self._engine.dispose()

    def _remember_file(self, connection: Any, record: Any) -> None:
        inode = record.info["inode"] = _inode(self._path)
        if self._admit_keys is None or inode == self._admitted:
            return
        try:
            self._admit_keys(lambda: keys_in(connection))
        except BaseException:
            connection.close()
            raise
        self._admitted = inode

    def _check_file(self, connection: Any, record: Any, proxy: Any) -> None:
        # A connection goes on with a file that was moved away, and what it wrote would be lost.
        if record.info["inode"] != _inode(self._path):
            raise DisconnectionError("the database's file was moved")
        if self._admit_use is not None:
            self._admit_use()


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


def _is_busy(error: Exception) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


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
