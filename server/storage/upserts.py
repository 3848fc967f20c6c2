"""INSERT … ON CONFLICT, which SQLite and PostgreSQL write alike, and SQLAlchemy does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from server.storage.schema import Base

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def insert_into(session: Session, table: type[Base]) -> Insert:
    """Return an INSERT for the session's database, which takes `on_conflict_do_…`."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)  # pyright: ignore[reportReturnType]  # it has the methods
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
