"""Removal of deleted bytes from the files of a PostgreSQL database."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, text

NO_SAMPLES = text(
    "ALTER TABLE videos ALTER prompt SET STATISTICS 0, ALTER negative_prompt SET STATISTICS 0"
)
"""Else ANALYZE copies prompts, which would stay after they were taken out of their rows."""
_NOW = text("SELECT CAST(pg_current_xact_id() AS text)")
_OLDER = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND age(backend_xmin) > age(CAST(CAST(:now AS xid8) AS xid))"
)


def scrub(engine: Engine, tables: Sequence[str]) -> None:
    """Rewrite tables without what was deleted. Their readers and writers wait meanwhile.

    Transactions that began before can still see what was deleted, and PostgreSQL keeps it for them.
    So their end is waited for, for some seconds.
    """
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        _wait_for_older(connection)
        for name in tables:
            connection.exec_driver_sql(f'VACUUM (FULL, ANALYZE) "{name}"')
        # The samples that were taken of the rows before. The database's owner may do this.
        connection.exec_driver_sql("VACUUM (FULL) pg_catalog.pg_statistic")


def _wait_for_older(connection: Connection) -> None:
    now = connection.scalar(_NOW)
    for _ in range(50):
        if not connection.scalar(_OLDER, {"now": now}):
            return
        time.sleep(0.1)
