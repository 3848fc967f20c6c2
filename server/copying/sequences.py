"""Numbers that a database gives rows: a copy goes on above the last one, even of a deleted row."""

from __future__ import annotations

from sqlalchemy import Table, func, select, text
from sqlalchemy.orm import Session

_SERIAL = "pg_get_serial_sequence(:table, :column)"


def last_number(session: Session, table: Table) -> int | None:
    """Return the last number that was given; 0: none yet; None: rows bring their own keys."""
    column = table.autoincrement_column
    if column is None:
        return None
    most = session.scalar(select(func.max(column))) or 0
    if session.get_bind().dialect.name == "postgresql":
        names = {"table": table.name, "column": column.name}
        sequence = session.scalar(text(f"SELECT {_SERIAL}"), names)
        given = session.scalar(text(f"SELECT last_value FROM {sequence} WHERE is_called"))
    else:
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        given = session.scalar(query, {"name": table.name})
    return max(most, given or 0)


def set_last_number(session: Session, table: Table, number: int) -> None:
    """Have the next number be the one after `number`, or a later one.

    Args:
        session: One that writes; the rows are there.
        table: A table whose `last_number` is a number.
        number: 0: none was given yet.
    """
    column = table.autoincrement_column
    if column is None or number == 0:
        return
    if session.get_bind().dialect.name == "postgresql":
        names = {"table": table.name, "column": column.name, "number": number}
        session.execute(text(f"SELECT setval({_SERIAL}, :number)"), names)
    elif table.dialect_options["sqlite"]["autoincrement"]:
        name = {"name": table.name}
        session.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), name)
        session.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"),
            {**name, "number": number},
        )
