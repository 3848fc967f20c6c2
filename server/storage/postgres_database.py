"""The database in PostgreSQL, which several processes may use at a time.

Two kinds of transactions write (docs/adr/0025). Those that write *alone* take one lock of the whole
database for their time, and so are as right as with SQLite's single writer: none reads what another
is about to change, and sequence numbers are in the order of the commits, so that no reader of a
list passes a row that comes later. The others, such as progress, change rows that each statement
finds by itself, and wait for nothing but these rows.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from sqlalchemy import Double, cast, event, extract, func, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from server.postgres_address import PostgresAddress
from server.storage import tables
from server.storage.database import Database
from server.storage.postgres_content import check_content
from server.storage.postgres_engine import engine_of
from server.storage.postgres_errors import PostgresErrors
from server.storage.postgres_health import PostgresHealth
from server.storage.postgres_keys import keys_in
from server.storage.postgres_notices import PostgresNotices
from server.storage.postgres_scrub import NO_SAMPLES, scrub
from server.storage.upgrade import create, upgrade, written_earlier
from server.storage.writers_turn import WritersTurn

_LOCK = text("SELECT pg_advisory_xact_lock(5093402791)")
"""The number means nothing; it must be that of every version."""
_NOT_WAITED_FOR = text("SET LOCAL synchronous_commit = off")
_NAMED_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_LOCK_NOT_AVAILABLE = "55P03"


class PostgresDatabase(Database):
    """One PostgreSQL database with all tables, in the first schema of its user's search path.

    Args:
        address: Where it is.
        may_upgrade: False to refuse the tables of an earlier version.

    Raises:
        DatabaseUnusable: It is damaged, another program's or a newer version's, or its user lacks a
            right. The message says what to do.
        StorageAway: It cannot be reached just now.
    """

    is_shared = True
    clock = cast(extract("epoch", func.clock_timestamp()), Double)

    def __init__(self, address: PostgresAddress, *, may_upgrade: bool = True) -> None:
        super().__init__()
        self._errors = PostgresErrors(address)
        self.name = self._errors.name
        self._engine = engine_of(address, pool_size=5, overflow=10)
        event.listen(self._engine, "connect", self._admit_connection)
        event.listen(self._engine, "checkout", self._check_use)
        self._reader = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        # Each statement sees what was committed before it, and so after the lock was taken.
        self._writer = self._engine.execution_options(isolation_level="READ COMMITTED")
        self._turn = WritersTurn(_is_busy)
        self.notices = PostgresNotices(address)
        self.health = self._health = PostgresHealth(self._reader, self._errors, tables.NAMES)
        try:
            self._prepare(may_upgrade=may_upgrade)
        except Exception:
            self._engine.dispose()
            raise

    @property
    def is_locked(self) -> bool:
        return self._turn.is_locked

    def explained(self) -> AbstractContextManager[None]:
        return self._errors.explained()

    def lock(self, session: Session, name: str) -> None:
        session.execute(_NAMED_LOCK, {"name": f"palimpsest {name}"})

    def close(self) -> None:
        self.health.stop()
        self.notices.stop()
        self._engine.dispose()

    def scrub(self) -> None:
        """Rewrite the tables without what was deleted. Their readers and writers wait meanwhile.

        PostgreSQL's log, its standbys and backups keep it for as long as their operator says.
        """
        scrub(self._engine, tables.NAMES)

    @contextmanager
    def reading(self) -> Generator[Session]:
        with self._told_of_damage(), Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, alone: bool = True, durable: bool = True) -> Generator[Session]:
        with ExitStack() as held:
            held.enter_context(self._told_of_damage())
            if alone:
                held.enter_context(self._turn.taken())
            session = held.enter_context(Session(self._writer, expire_on_commit=False))
            held.enter_context(session.begin())
            if alone:
                session.execute(_LOCK)
            if not durable:
                session.execute(_NOT_WAITED_FOR)
            yield session
            self.notices.before_commit(session)

    def _prepare(self, *, may_upgrade: bool) -> None:
        with self.explained(), self._writer.begin() as connection:
            connection.execute(_LOCK)  # servers may start at the same time
            state = check_content(connection, self._errors)
            if state == "new":
                create(connection)
                connection.execute(NO_SAMPLES)
            elif state == "earlier":
                if not may_upgrade:
                    raise written_earlier(self.name)
                upgrade(connection)

    @contextmanager
    def _told_of_damage(self) -> Generator[None]:
        """Refuse the use of a damaged database, and raise the damage that an error comes from."""
        self.health.require()
        try:
            yield
        except DBAPIError as error:
            damage = self._errors.damage(error)
            if damage is None:
                raise
            self._health.note(damage)
            raise damage from error

    def _admit_connection(self, connection: Any, record: Any) -> None:
        # A new connection may reach another database at the old address: one that was restored.
        if self._admit_keys is None:
            return
        try:
            self._admit_keys(lambda: keys_in(connection))
            connection.commit()
        except BaseException:
            connection.close()
            raise

    def _check_use(self, connection: Any, record: Any, proxy: Any) -> None:
        if self._admit_use is not None:
            self._admit_use()


def has_tables(address: PostgresAddress) -> bool:
    """Return True if the database has the tables of a server.

    Raises:
        DatabaseUnusable: It is another program's, or its user lacks a right.
        StorageAway: It cannot be reached just now.
    """
    errors = PostgresErrors(address)
    engine = engine_of(address, pool_size=1, overflow=0)
    try:
        with errors.explained(), engine.connect() as connection:
            return check_content(connection, errors) != "new"
    finally:
        engine.dispose()


def _is_busy(error: Exception) -> bool:
    return getattr(getattr(error, "orig", None), "sqlstate", None) == _LOCK_NOT_AVAILABLE
