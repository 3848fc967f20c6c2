"""DBOS's database: SQLite beside the data, or a schema in PostgreSQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbos import DBOSConfig


class JobsDatabase(ABC):
    """The database of DBOS, which makes and reads its tables itself."""

    @abstractmethod
    def check(self) -> None:
        """Check that DBOS can use the database. One that is absent or empty is made by DBOS.

        Raises:
            DatabaseUnusable: It is damaged, another program's, a newer version's, or not to be
                opened.
            StorageAway: It cannot be used just now.
        """

    @abstractmethod
    def explained(self) -> AbstractContextManager[None]:
        """Turn the database's errors inside the block into those of `storage_errors`."""

    @abstractmethod
    def prepared(self) -> DBOSConfig:
        """Make the database ready for DBOS, and return the part of DBOS's settings that names it.

        Raises:
            Exception: It cannot be reached just now.
        """

    @abstractmethod
    def close(self) -> None:
        """Close every connection. DBOS must have been stopped."""
