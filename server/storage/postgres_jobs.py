"""DBOS's database as a schema beside the records in PostgreSQL."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from dbos import DBOSConfig, _migration
from sqlalchemy import event, text

from server.postgres_address import PostgresAddress
from server.storage.jobs_database import JobsDatabase
from server.storage.postgres_content import JOBS_SCHEMA
from server.storage.postgres_engine import engine_of
from server.storage.postgres_errors import PostgresErrors
from server.storage.storage_errors import DatabaseUnusable

_MAY_CREATE = text(
    "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = :schema) "
    "OR has_database_privilege(current_database(), 'CREATE')"
)


class PostgresJobs(JobsDatabase):
    """DBOS's schema, on connections of its own.

    Args:
        address: The database of the records.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._errors = PostgresErrors(address)
        self._engine = engine_of(address, pool_size=3, overflow=7)
        self._is_closed = False
        event.listen(self._engine, "do_connect", self._refuse_once_closed)

    def check(self) -> None:
        with self.explained():
            with self._engine.connect() as connection:
                if not connection.scalar(_MAY_CREATE, {"schema": JOBS_SCHEMA}):
                    raise self._errors.unopenable(f"it has no schema {JOBS_SCHEMA}, nor may it get")
            version, known = _migration.get_migration_versions(self._engine, JOBS_SCHEMA, False)
        if version > known:
            raise DatabaseUnusable(
                f"The schema {JOBS_SCHEMA} in {self._errors.name} was written by a newer version "
                f"of DBOS ({version}, this one knows {known}): install that version or a later one."
            )

    def explained(self) -> AbstractContextManager[None]:
        return self._errors.explained()

    def prepared(self) -> DBOSConfig:
        logging.getLogger("dbos").addFilter(_says_more)
        return {
            "system_database_engine": self._engine,
            "dbos_system_schema": JOBS_SCHEMA,
            # No job waits for another's message, and this needs no connection of its own.
            "use_listen_notify": False,
        }

    def close(self) -> None:
        self._is_closed = True
        self._engine.dispose()

    def _refuse_once_closed(self, *_: object) -> None:
        # DBOS's threads try to connect for as long as PostgreSQL is away, and none can end them.
        if self._is_closed:
            raise RuntimeError("the server has stopped")


def _says_more(record: logging.LogRecord) -> bool:
    """Return False for DBOS's lines about an outage, three a second: ours says it once."""
    return "psycopg.OperationalError" not in record.getMessage()
