"""Databases of the tests' servers: SQLite, or PostgreSQL if pytest's `--database` says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from server.settings import Settings
from server.storage import tables
from server.storage.backends import open_database
from server.storage.database import Database
from server.storage.postgres_content import JOBS_SCHEMA

_new: Callable[[Path], str] | None = None


def use_databases(new: Callable[[Path], str] | None) -> None:
    """Have every server get its database from a function of its data directory."""
    global _new
    _new = new


def database_of(data: Path) -> str:
    """Return the setting `database` of a server on this data directory; "" is SQLite."""
    return "" if _new is None else _new(data)


def opened(data: Path) -> Database:
    """Open the database of the server on a data directory, as another process does."""
    return open_database(Settings.model_validate({"data_dir": data, "database": database_of(data)}))


def run_in_jobs(settings: Settings, statement: str) -> None:
    """Run a statement on DBOS's tables, as another process does."""
    if settings.postgres is None:
        with closing(sqlite3.connect(settings.jobs_file)) as connection, connection:
            connection.execute(statement)
        return
    with closing(open_database(settings)) as database, database.writing() as session:
        session.execute(text(f"SET LOCAL search_path = {JOBS_SCHEMA}"))
        session.execute(text(statement))


def emptied(url: str) -> Database:
    """Open a PostgreSQL database, and remove what an earlier test left in it."""
    opened = open_database(Settings.model_validate({"database": url}))
    names = ", ".join(f'"{name}"' for name in tables.NAMES)
    with opened.writing() as session:
        session.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return opened
