"""Upgrade of the database: brings an earlier version's tables to this version's, by Alembic."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine, text

from server.storage.schema import Base
from server.storage.sqlite_file import DatabaseUnusable, SqliteFile, lacking

log = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).with_name("migrations")
_VERSION_TABLE = "alembic_version"
State = Literal["new", "earlier", "current"]

_JOB = (
    *("sequence", "id", "owner", "attempt", "status", "progress", "created_at", "completed_at"),
    *("error_code", "error_message", "idempotency_key", "request_hash"),
)
_FIRST: Mapping[str, tuple[str, ...]] = {
    "videos": (
        *_JOB,
        *("model", "prompt", "negative_prompt", "encoder_id", "encoder_digest", "seed", "steps"),
        *("guidance", "frames", "fps", "width", "height"),
    ),
    "encoder_jobs": (*_JOB, "job_id", "settings", "phase", "phases", "measures"),
}
"""Columns that every version's tables have had, before there were revisions too."""


def check_records(file: SqliteFile, *, has_jobs: bool, in_use: bool = False) -> State:
    """Check that the file is a database that `upgrade` can bring to this version's tables.

    Args:
        file: The database.
        has_jobs: True if DBOS's database beside it holds something.
        in_use: See `SqliteFile.tables`.

    Returns:
        "new" if it has no tables, "earlier" if `upgrade` has to change some, else "current".

    Raises:
        DatabaseUnusable: It is damaged, another program's, a newer version's, or lost its content.
        StorageAway: It cannot be used just now.
    """
    tables = file.tables(in_use=in_use)
    if not tables:
        if has_jobs:
            raise file.unusable("is absent or empty, although jobs.sqlite beside it is not")
        return "new"
    if _VERSION_TABLE not in tables:
        if lacking(tables, dict(_FIRST)) is not None:
            raise file.unusable("is not a database of Palimpsest")
        return "earlier"
    revision = file.value(f"SELECT version_num FROM {_VERSION_TABLE}")
    known = revisions()
    if revision not in known:
        if lacking(tables, dict(_FIRST)) is not None:
            raise file.unusable("is not a database of Palimpsest")
        raise DatabaseUnusable(
            f"{file.path} was written by a newer version of Palimpsest (revision {revision!r}): "
            "install that version or a later one, or restore the backup made before its upgrade."
        )
    if revision != known[-1]:
        return "earlier"
    wanted = {table.name: table.columns.keys() for table in Base.metadata.sorted_tables}
    missing = lacking(tables, dict(wanted))
    if missing is not None:
        raise file.unusable(f"is damaged ({missing} is missing)")
    return "current"


def revisions() -> list[str]:
    """Return the ids of all revisions, the latest last: the numbers of the files' names."""
    files = (_MIGRATIONS / "versions").glob("v[0-9]*_*.py")
    return sorted(file.name[1:].partition("_")[0] for file in files)


def create(writer: Engine) -> None:
    """Create this version's tables in an empty database.

    The result is that of all revisions, without Alembic, which takes a third of a second to import.

    Args:
        writer: The engine whose transactions take the database's lock when they begin.
    """
    with writer.begin() as connection:
        Base.metadata.create_all(connection)
        connection.execute(
            text(
                f"CREATE TABLE {_VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
                "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
        )
        connection.execute(
            text(f"INSERT INTO {_VERSION_TABLE} VALUES (:latest)"), {"latest": revisions()[-1]}
        )


def upgrade(writer: Engine) -> None:
    """Run the revisions that the database lacks, in one transaction.

    A process that is killed meanwhile leaves the tables as they were.

    Args:
        writer: The engine whose transactions take the database's lock when they begin.
    """
    # Not at the top: only an earlier version's data needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
