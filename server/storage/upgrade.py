"""Upgrade of the database: brings an earlier version's tables to this version's, by Alembic."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Protocol

from sqlalchemy import Connection, text

from server.storage.schema import Base
from server.storage.storage_errors import DatabaseUnusable

_MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "alembic_version"
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


class Content(Protocol):
    """Content of a database, and the words of its errors."""

    @property
    def name(self) -> str:
        """The file's path, or another name of the database for an operator."""
        ...

    def revision(self) -> object:
        """Return what the table of the revision holds; None if it is empty."""
        ...

    def unusable(self, fault: str) -> DatabaseUnusable:
        """Return the error for a database whose content cannot be used."""
        ...


def state_of(content: Content, tables: Mapping[str, Collection[str]]) -> State:
    """Check that a database is one that `upgrade` can bring to this version's tables.

    Args:
        content: The database.
        tables: Its tables, with the names of their columns.

    Returns:
        "new" if it has no tables, "earlier" if `upgrade` has to change some, else "current".

    Raises:
        DatabaseUnusable: It is damaged, another program's or a newer version's.
    """
    if not tables:
        return "new"
    if VERSION_TABLE not in tables:
        if lacking(tables, _FIRST) is not None:
            raise content.unusable("is not a database of Palimpsest")
        return "earlier"
    revision, known = content.revision(), revisions()
    if revision not in known:
        if lacking(tables, _FIRST) is not None:
            raise content.unusable("is not a database of Palimpsest")
        raise DatabaseUnusable(
            f"{content.name} was written by a newer version of Palimpsest (revision {revision!r}): "
            "install that version or a later one, or restore the backup made before its upgrade."
        )
    if revision != known[-1]:
        return "earlier"
    wanted = {table.name: table.columns.keys() for table in Base.metadata.sorted_tables}
    missing = lacking(tables, wanted)
    if missing is not None:
        raise content.unusable(f"is damaged ({missing} is missing)")
    return "current"


def written_earlier(name: str) -> DatabaseUnusable:
    """Return the error for an earlier version's database that must not be upgraded here."""
    return DatabaseUnusable(
        f"{name} was written by an earlier version of Palimpsest: start the server once, which "
        "upgrades it."
    )


def revisions() -> list[str]:
    """Return the ids of all revisions, the latest last: the numbers of the files' names."""
    files = (_MIGRATIONS / "versions").glob("v[0-9]*_*.py")
    return sorted(file.name[1:].partition("_")[0] for file in files)


def create(connection: Connection) -> None:
    """Create this version's tables in an empty database.

    The result is that of all revisions, without Alembic, which takes a third of a second to import.

    Args:
        connection: It has begun a transaction that writes alone.
    """
    Base.metadata.create_all(connection)
    connection.execute(
        text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(
        text(f"INSERT INTO {VERSION_TABLE} VALUES (:latest)"), {"latest": revisions()[-1]}
    )


def upgrade(connection: Connection) -> None:
    """Run the revisions that the database lacks.

    A process that is killed meanwhile leaves the tables as they were.

    Args:
        connection: It has begun a transaction that writes alone.
    """
    # Not at the top: only an earlier version's data needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def lacking(
    tables: Mapping[str, Collection[str]], wanted: Mapping[str, Collection[str]]
) -> str | None:
    """Return the first table or column of `wanted` that `tables` lacks; None if there is none."""
    for table, columns in wanted.items():
        if table not in tables:
            return table
        for column in columns:
            if column not in tables[table]:
                return f"{table}.{column}"
    return None
