"""The server's database: SQLite beside the data, shared by all classes of tables."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import Session

from server.storage.alias_rows import AliasRow
from server.storage.database_health import DatabaseHealth
from server.storage.deleted_video_rows import DeletedVideoRow
from server.storage.key_rows import KeyRow, RateRow, UsageRow
from server.storage.ledger_rows import LedgerCheckpointRow, LedgerRow
from server.storage.records import EncoderRecord, VideoRecord
from server.storage.schema import Base
from server.storage.secret_rows import SecretRow
from server.storage.signing_key_rows import SigningKeyRow
from server.storage.sqlite_file import DatabaseUnusable, SqliteFile
from server.storage.upgrade import check_records, create, upgrade

BUSY_TIMEOUT_S = 5
"""Time that a transaction waits for another process to release the database's lock, and for the
other threads of this one. Then it is an outage: requests are refused, jobs wait and try again."""

_REMEDY = (
    "restore it from a backup (docs/OPERATIONS.md), or set PALIMPSEST_DATA_DIR to a new directory"
)

TABLES: tuple[type[Base], ...] = (
    VideoRecord,
    EncoderRecord,
    DeletedVideoRow,
    KeyRow,
    UsageRow,
    RateRow,
    AliasRow,
    LedgerRow,
    LedgerCheckpointRow,
    SigningKeyRow,
    SecretRow,
)
"""Every table. Naming them here declares them in `Base.metadata`."""


class DatabaseBusy(TimeoutError):
    """The database was locked for longer than a transaction waits."""


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
        self._path = path
        self._admit_file: Callable[[sqlite3.Connection], None] | None = None
        self._admit_use: Callable[[], None] | None = None
        self._admitted: int | None = None
        state = check_records(self.file, has_jobs=has_jobs)
        if state == "earlier" and not may_upgrade:
            raise DatabaseUnusable(
                f"{path} was written by an earlier version of Palimpsest: start the server once, "
                "which upgrades it."
            )
        with self.file.explained():
            path.touch()
        self._engine = create_engine(
            # A connection must not create the file: it would be an empty database in the place of
            # one that is away for a moment.
            f"sqlite:///file:{path.resolve()}?mode=rw&uri=true",
            connect_args={"timeout": BUSY_TIMEOUT_S},
            hide_parameters=True,  # errors are logged, and prompts are not
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "connect", self._remember_file)
        event.listen(self._engine, "checkout", self._check_file)
        event.listen(self._engine, "begin", _begin)
        # Writers take SQLite's lock when they begin: a transaction that has read already cannot
        # wait for the lock, since SQLite refuses it at once.
        self._writer = self._engine.execution_options(immediate=True)
        # SQLite lets waiting writers sleep and try again. A lock of our own wakes them at once, and
        # a writer that waits for it holds no connection that a reader could use.
        self._turn = Lock()
        self.health = DatabaseHealth(self.file, [t.__tablename__ for t in TABLES], self._let_go)
        """The state of the file while it is used."""
        self.is_locked = False
        """True once a writer did not get the lock in time, until one gets it."""
        with self.file.explained():
            if state == "new":
                create(self._writer)
            elif state == "earlier":
                upgrade(self._writer)

    def admit(self, file: Callable[[sqlite3.Connection], None], use: Callable[[], None]) -> None:
        """Ask before anything is read from a file, or written to it.

        Args:
            file: Is called with the first connection to this file, and to any that takes its place
                later: a database that is restored under a running server.
            use: Is called before every use, in the thread that uses the database.

        Raises:
            Exception: That of `file`. Later, an error of the two ends the use that led to it.
        """
        self._admit_file, self._admit_use = file, use
        self._engine.dispose()
        with self.file.explained(), self.reading() as session:
            session.connection()

    def close(self) -> None:
        """Close every connection."""
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
        """Yield a session that sees one state of the database, and must not write.

        Raises:
            DatabaseUnusable: The database was damaged or emptied.
        """
        with self._told_of_damage(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Generator[Session]:
        """Yield a session whose changes are committed together at the end, or not at all.

        Raises:
            DatabaseBusy: Other writers had their turns for longer than `BUSY_TIMEOUT_S`.
            DatabaseUnusable: The database was damaged or emptied.
        """
        with self._told_of_damage():
            yield from self._writing()

    def _writing(self) -> Generator[Session]:
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            self.is_locked = True
            raise DatabaseBusy(f"the database was busy for {BUSY_TIMEOUT_S} s")
        try:
            with Session(self._writer, expire_on_commit=False) as session, session.begin():
                yield session
            self.is_locked = False
        except Exception as error:
            self.is_locked = self.is_locked or _is_busy(error)
            raise
        finally:
            self._turn.release()

    @contextmanager
    def _told_of_damage(self) -> Generator[None]:
        """Refuse the use of a damaged file, and raise the damage that an error comes from."""
        self.health.require()
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            damage = self.health.explained(cause) if isinstance(cause, sqlite3.Error) else None
            if damage is None:
                raise
            raise damage from error

    def _let_go(self) -> None:
        self._admitted = None  # the file may have other keys when it is used again
        self._engine.dispose()

    def _remember_file(self, connection: Any, record: Any) -> None:
        inode = record.info["inode"] = _inode(self._path)
        if self._admit_file is None or inode == self._admitted:
            return
        try:
            self._admit_file(connection)
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
