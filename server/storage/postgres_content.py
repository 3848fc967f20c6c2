"""Content of a PostgreSQL database: its tables, and the revision that made them."""

from __future__ import annotations

from sqlalchemy import Connection, text

from server.storage.postgres_errors import PostgresErrors
from server.storage.storage_errors import DatabaseUnusable
from server.storage.upgrade import VERSION_TABLE, State, state_of

JOBS_SCHEMA = "palimpsest_jobs"
"""Schema of DBOS's tables, in the same database."""
_COLUMNS = text(
    "SELECT t.table_name, c.column_name FROM information_schema.tables t "
    "LEFT JOIN information_schema.columns c USING (table_schema, table_name) "
    "WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
)
_HAS_JOBS = text("SELECT to_regclass(:name) IS NOT NULL")


def check_content(connection: Connection, errors: PostgresErrors) -> State:
    """Check that a database is one that this version can use, or upgrade.

    Raises:
        DatabaseUnusable: It is damaged, another program's, a newer version's, or lost its content.
    """
    if connection.scalar(text("SELECT current_schema()")) is None:
        raise errors.unopenable("no schema of its search_path exists")
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise errors.unopenable(f"its encoding is {encoding}, and has to be UTF8")
    tables: dict[str, set[str]] = {}
    for table, column in connection.execute(_COLUMNS):
        tables.setdefault(table, set()).add(column)
    state = state_of(_Content(connection, errors), tables)
    if state == "new" and connection.scalar(_HAS_JOBS, {"name": f"{JOBS_SCHEMA}.workflow_status"}):
        raise errors.unusable(f"has no tables, although its schema {JOBS_SCHEMA} has")
    return state


class _Content:
    def __init__(self, connection: Connection, errors: PostgresErrors) -> None:
        self._connection = connection
        self._errors = errors
        self.name = errors.name

    def revision(self) -> object:
        return self._connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))

    def unusable(self, fault: str) -> DatabaseUnusable:
        return self._errors.unusable(fault)
