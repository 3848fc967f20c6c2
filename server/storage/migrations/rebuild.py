"""Rebuilding of a table: SQLite changes little of a table that exists."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, inspect, text


def rebuild(connection: Connection, table: Table, values: Mapping[str, str]) -> None:
    """Give the table of this name the definition `table`, and keep its rows.

    Sequence numbers go on where they were, even above those of deleted rows. Alembic's batch mode
    keeps neither AUTOINCREMENT, unless told, nor the last number.

    Args:
        connection: A connection in a transaction.
        table: The new definition.
        values: SQL expressions for the columns that the old table lacks, over its columns.
    """
    name, old = table.name, f"old_{table.name}"
    inspector = inspect(connection)
    present = {column["name"] for column in inspector.get_columns(name)}
    for index in inspector.get_indexes(name):
        connection.execute(text(f'DROP INDEX "{index["name"]}"'))
    connection.execute(text(f'ALTER TABLE "{name}" RENAME TO "{old}"'))
    table.create(connection)
    columns = [column.name for column in table.columns]
    wanted = ", ".join(f'"{column}"' for column in columns)
    given = ", ".join(f'"{name}"' if name in present else values[name] for name in columns)
    connection.execute(text(f'INSERT INTO "{name}" ({wanted}) SELECT {given} FROM "{old}"'))
    if table.dialect_options["sqlite"]["autoincrement"]:
        last = "SELECT seq FROM sqlite_sequence WHERE name = :name"
        number = connection.scalar(text(last), {"name": old})
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
        if number is not None:
            connection.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"),
                {"name": name, "number": number},
            )
    connection.execute(text(f'DROP TABLE "{old}"'))
