"""The server's database: SQLite beside the data, or PostgreSQL. Its users need not know which."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import ColumnElement, Engine
from sqlalchemy.orm import Session

from server.storage.database_health import DatabaseHealth
from server.storage.notices import Notices
from server.storage.stored_keys import Stored


class Database(ABC):
    """One database with all tables. Its sessions may be used on any thread."""

    name: str
    """Name for an operator: the file, or where it is; never with a password."""
    health: DatabaseHealth
    """The state of the database while it is used."""
    notices: Notices
    """Notices of its servers to each other, which are sent with the changes that they are about."""
    is_shared: bool
    """True if servers of other data directories can use it at the same time. The lock of the data
    directory keeps them from the others."""
    clock: ColumnElement[float]
    """The time in Unix seconds, by the database's clock."""
    _engine: Engine

    def __init__(self) -> None:
        self._admit_keys: Callable[[Stored], None] | None = None
        self._admit_use: Callable[[], None] | None = None

    @property
    @abstractmethod
    def is_locked(self) -> bool:
        """True once a writer did not get the lock in time, until one gets it."""

    def admit(self, keys: Callable[[Stored], None], use: Callable[[], None]) -> None:
        """Ask before anything is read from the database, or written to it.

        Args:
            keys: Is called with what reads the database's keys, before this database is used, and
                before any that takes its place later: one that is restored under a running server.
            use: Is called before every use, in the thread that uses the database.

        Raises:
            Exception: That of `keys`. Later, an error of the two ends the use that led to it.
        """
        self._admit_keys, self._admit_use = keys, use
        self._engine.dispose()
        with self.explained(), self.reading() as session:
            session.connection()

    @abstractmethod
    def close(self) -> None:
        """Close every connection."""

    @abstractmethod
    def scrub(self) -> None:
        """Rewrite the tables without the bytes of what was deleted. Writers wait meanwhile."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Session]:
        """Yield a session that sees one state of the database, and must not write.

        Raises:
            DatabaseUnusable: The database was damaged or emptied.
        """

    @abstractmethod
    def writing(
        self, *, alone: bool = True, durable: bool = True
    ) -> AbstractContextManager[Session]:
        """Yield a session whose changes are committed together at the end, or not at all.

        Args:
            alone: True: no other transaction of this kind runs meanwhile, in whatever process. So
                what was read stays true until the end, and numbers that the database gives are in
                the order of the commits. False, where it is right beside any other transaction:
                each statement changes rows that it finds by itself. Then writers need not wait.
            durable: False, where the last changes may be lost in a crash of the database's machine.
                Then nobody need wait for its disk.

        Raises:
            DatabaseBusy: Other writers had their turns for longer than `BUSY_TIMEOUT_S`.
            DatabaseUnusable: The database was damaged or emptied.
        """

    @abstractmethod
    def lock(self, session: Session, name: str) -> None:
        """Wait until no other transaction has the lock of this name, and keep it to the end.

        For a transaction that is not alone. What earlier holders committed is seen from then on.

        Args:
            session: The transaction's, from `writing`.
            name: The lock's.
        """

    @abstractmethod
    def explained(self) -> AbstractContextManager[None]:
        """Turn the database's errors inside the block into those of `storage_errors`.

        Raises:
            DatabaseUnusable: An operator has to do something.
            StorageAway: Trying again may help.
        """
