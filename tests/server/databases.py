"""Databases of the tests' servers: SQLite, or PostgreSQL if pytest's `--database` says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from server.settings import Settings
from server.storage import tables
from server.storage.backends import open_database
from server.storage.database import Database
from server.storage.postgres_content import JOBS_SCHEMA
from tests.server.places import places_of


def opened(data: Path) -> Database:
    """Open the database of the server on a data directory, as another process does."""
    return open_database(Settings.model_validate({"data_dir": data, **places_of(data)}))


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
