"""Health of a PostgreSQL database: reached or away, and with all its tables or without."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import Engine, text

from server.storage.database_health import DatabaseHealth
from server.storage.postgres_errors import PostgresErrors
from server.storage.storage_errors import DatabaseUnusable, StorageAway

log = logging.getLogger(__name__)

_MISSING = text(
    "SELECT min(name) FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL"
)


class PostgresHealth(DatabaseHealth):
    """The state of one database, as far as it is known.

    Args:
        engine: Its connections.
        errors: The words of its errors.
        tables: The names of its tables.
    """

    def __init__(self, engine: Engine, errors: PostgresErrors, tables: Sequence[str]) -> None:
        super().__init__(errors.name)
        self._engine = engine
        self._errors = errors
        self._tables = list(tables)

    def look(self) -> None:
        """Look for the tables once, and say in the log if their state has changed."""
        try:
            with self._errors.explained(), self._engine.connect() as connection:
                missing = connection.scalar(_MISSING, {"names": self._tables})
        except StorageAway as error:
            self._is_away(error)
            return
        except DatabaseUnusable as error:
            self.note(error)
            return
        self._is_there()
        if missing is not None:
            self.note(self._errors.unusable(f"is damaged ({missing} is missing)"))
        elif self._unusable is not None:
            self._unusable = None
            log.info("%s can be used again", self._name)

    def note(self, error: DatabaseUnusable) -> None:
        """Refuse every use from now on, until a look finds nothing wrong."""
        if str(error) != str(self._unusable):
            log.error("%s", error)
        self._unusable = error
