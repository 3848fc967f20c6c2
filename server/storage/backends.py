"""The database that the settings name: PostgreSQL, or SQLite beside the data.

Nothing is imported before it is needed: the guard reads keys before the app is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.settings import Settings
from server.storage.stored_keys import Stored

if TYPE_CHECKING:
    from server.storage.database import Database
    from server.storage.jobs_database import JobsDatabase


def open_database(settings: Settings, *, may_upgrade: bool = True) -> Database:
    """Open the database of records. It is created if absent.

    Args:
        settings: The server's settings.
        may_upgrade: False to refuse the tables of an earlier version. Only a server may upgrade
            them: an earlier version's server may be using them.

    Raises:
        DatabaseUnusable: It is damaged, another program's or a newer version's, or cannot be
            opened. The message says what to do.
        StorageAway: It cannot be used just now.
    """
    if settings.postgres is not None:
        from server.storage.postgres_database import PostgresDatabase

        return PostgresDatabase(settings.postgres, may_upgrade=may_upgrade)
    from server.storage.sqlite_database import SqliteDatabase

    return SqliteDatabase(settings.records_file, jobs=settings.jobs_file, may_upgrade=may_upgrade)


def has_database(settings: Settings) -> bool:
    """Return True if a server, or a command, has made the database of records.

    Raises:
        DatabaseUnusable: There is another program's, or none that this user may use.
        StorageAway: It cannot be reached, so that it is not known.
    """
    if settings.postgres is not None:
        from server.storage.postgres_database import has_tables

        return has_tables(settings.postgres)
    return settings.records_file.exists()


def open_jobs_database(settings: Settings) -> JobsDatabase:
    """Return DBOS's database. Nothing is read or written yet."""
    if settings.postgres is not None:
        from server.storage.postgres_jobs import PostgresJobs

        return PostgresJobs(settings.postgres)
    from server.storage.sqlite_jobs import SqliteJobs

    return SqliteJobs(settings.jobs_file)


def keys_of(settings: Settings) -> Stored:
    """Return a function that reads the keys of the database of records."""
    if settings.postgres is not None:
        from server.storage.postgres_keys import PostgresKeys

        return PostgresKeys(settings.postgres)
    from server.storage.sqlite_keys import stored_keys

    file = settings.records_file
    return lambda: stored_keys(file)
