"""Revisions let a server of the release before go on: each adds, and takes nothing away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, inspect, text

from server.storage import upgrade
from server.storage.upgrade import VERSION_TABLE, revisions

FIRST = "0010"
"""First revision with which several servers can use one database."""

Tables = dict[str, dict[str, dict[str, Any]]]
"""Table → column → what the database says of it."""


def brought_to(connection: Connection, revision: str) -> Tables:
    """Bring a database to a revision, and return its tables."""
    config = Config()
    config.set_main_option("script_location", str(upgrade._MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    return tables_of(connection)


def tables_of(connection: Connection) -> Tables:
    found = inspect(connection)
    return {
        table: {column["name"]: dict(column) for column in found.get_columns(table)}
        | {
            f"unique {one['column_names']}": dict(one)
            for one in found.get_unique_constraints(table)
        }
        for table in found.get_table_names()
        if table != VERSION_TABLE
    }


def obstacles(before: Tables, after: Tables) -> Iterable[str]:
    """Yield what a server that knows the tables before stumbles over in those after."""
    for table, columns in before.items():
        if table not in after:
            yield f"{table} is gone"
            continue
        for name, column in columns.items():
            now = after[table].get(name)
            if now is None:
                yield f"{table}.{name} is gone"
            elif str(now.get("type")) != str(column.get("type")):
                yield f"{table}.{name} has another type"
            elif column.get("nullable") and not now["nullable"]:
                yield f"{table}.{name} may not be null any more"
        for name in after[table].keys() - columns.keys():
            new = after[table][name]
            if name.startswith("unique"):
                yield f"{table} has a new constraint, {name}"
            elif not new["nullable"] and new["default"] is None:
                yield f"{table}.{name} is new, and has to be given"


@pytest.mark.parametrize("revision", [one for one in revisions() if one > FIRST])
def test_the_release_before_can_use_the_tables(revision: str) -> None:
    """If this fails, a rolling upgrade would: see docs/OPERATIONS.md, Rolling upgrades."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        before = brought_to(connection, f"{int(revision) - 1:04}")
        after = brought_to(connection, revision)
    engine.dispose()
    assert list(obstacles(before, after)) == []
    assert before != after


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ("ALTER TABLE a ADD COLUMN y TEXT", []),
        ("ALTER TABLE a ADD COLUMN y TEXT NOT NULL DEFAULT ''", []),
        ("CREATE TABLE b (x INT NOT NULL)", []),
        ("DROP TABLE a", ["a is gone"]),
        ("ALTER TABLE a DROP COLUMN x", ["a.x is gone"]),
        ("ALTER TABLE a RENAME COLUMN x TO y", ["a.x is gone"]),
        ("DROP TABLE a; CREATE TABLE a (x INT, z TEXT)", ["a.x has another type"]),
        ("DROP TABLE a; CREATE TABLE a (x TEXT NOT NULL, z TEXT)", ["a.x may not be null"]),
        ("DROP TABLE a; CREATE TABLE a (x TEXT, z TEXT, y INT NOT NULL)", ["a.y is new"]),
        ("DROP TABLE a; CREATE TABLE a (x TEXT, z TEXT, UNIQUE (x))", ["a has a new constraint"]),
    ],
)
def test_what_it_would_stumble_over_is_found(statements: str, found: list[str]) -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE a (x TEXT, z TEXT)"))
        before = tables_of(connection)
        for statement in statements.split("; "):
            connection.execute(text(statement))
        said = list(obstacles(before, tables_of(connection)))
    engine.dispose()
    assert len(said) == len(found)
    assert all(one.startswith(words) for one, words in zip(said, found, strict=True)), said
