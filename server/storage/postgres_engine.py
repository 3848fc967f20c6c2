"""Connections to PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event

from server.postgres_address import PostgresAddress
from server.storage import writers_turn

_IDLE_S = 30
"""Time after which PostgreSQL ends a transaction whose process does nothing: it may hang, or its
host may be cut off, with locks that others wait for."""
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)
"""An accepted job must survive a power cut, whatever the server's own setting."""


def engine_of(address: PostgresAddress, *, pool_size: int, overflow: int) -> Engine:
    """Return an engine. A connection that has died is replaced before it is used.

    Args:
        address: The database.
        pool_size: Connections that stay open.
        overflow: Connections that are opened beside these when many are needed at once.
    """
    engine = create_engine(
        # The address is no part of the URL, so nothing that shows an engine shows the password.
        "postgresql+psycopg://",
        connect_args=dict(address.options),
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=writers_turn.BUSY_TIMEOUT_S,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged, and prompts are not
    )
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, record: Any) -> None:
    waits = writers_turn.BUSY_TIMEOUT_S * 1000
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {int(waits)}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_S * 1000}")
        cursor.execute(_DURABLE)
    connection.commit()
