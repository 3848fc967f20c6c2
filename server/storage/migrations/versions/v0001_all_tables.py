"""Revision 0001: the tables of jobs as they are now, and those of keys, usage, rates and aliases.

Earlier versions had no revisions. Their tables of jobs lack columns, or name one concept where
there are several now; their rows are kept. The definitions are frozen here: the models in
`server.storage` may change, a revision does not.
"""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    JSON,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    inspect,
)

from server.storage.migrations.rebuild import rebuild

revision = "0001"
down_revision = None

_METADATA = MetaData()


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, String, nullable=null)


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=null)


def _json(name: str, *, null: bool = False) -> Column[object]:
    return Column(name, JSON, nullable=null)


def _jobs(name: str, *own: Column[Any], unique: str | None = None) -> Table:
    """Return a table of jobs: its own columns, of which one may be unique, then those of all."""
    table = Table(
        name,
        _METADATA,
        *own,
        Column("sequence", Integer, primary_key=True, autoincrement=True),
        _text("id"),
        _text("owner"),
        _number("attempt"),
        _number("interruptions"),
        _text("status"),
        _number("progress"),
        _number("created_at"),
        _number("completed_at", null=True),
        _text("error_code", null=True),
        _text("error_message", null=True),
        _text("idempotency_key", null=True),
        _text("request_hash"),
        _text("request_id", null=True),
        UniqueConstraint("owner", "idempotency_key"),
        *([] if unique is None else [UniqueConstraint(unique)]),
        UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    for column in ("owner", "status"):
        Index(f"ix_{name}_{column}", table.c[column])
    return table


_VIDEOS = _jobs(
    "videos",
    _text("model"),
    _text("prompt"),
    _text("negative_prompt"),
    _text("encoder_id", null=True),
    _text("encoder_digest", null=True),
    _number("seed"),
    _number("steps"),
    Column("guidance", Double, nullable=False),
    _number("frames"),
    _number("fps"),
    _number("width"),
    _number("height"),
    Column("inference_seconds", Double),
    _number("lifetime"),
    _number("expires_at", null=True),
    _number("deadline", null=True),
    _number("bytes", null=True),
)
Index("ix_videos_expires_at", _VIDEOS.c.expires_at)

_ENCODER_JOBS = _jobs(
    "encoder_jobs",
    _text("job_id"),
    _json("concepts"),
    _text("parent", null=True),
    _text("parent_digest", null=True),
    _json("settings"),
    _json("gate"),
    _text("phase"),
    _json("phases"),
    _json("measures"),
    unique="job_id",
)

_KEYS = Table(
    "keys",
    _METADATA,
    Column("id", String, primary_key=True),
    _text("sha256"),
    _text("role"),
    _json("encoders", null=True),
    _text("default_encoder", null=True),
    _json("limits"),
    _number("created_at"),
    _number("expires_at", null=True),
    _number("revoked_at", null=True),
    UniqueConstraint("sha256"),
)
_USAGE = Table(
    "usage",
    _METADATA,
    Column("owner", String, primary_key=True),
    Column("day", String, primary_key=True),
    _number("requests"),
    _number("videos"),
    _number("encoders"),
    Column("device_seconds", Double, nullable=False),
)
_RATE_COUNTERS = Table(
    "rate_counters",
    _METADATA,
    Column("owner", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("window", Integer, primary_key=True),
    _number("count"),
)
_ALIASES = Table(
    "aliases",
    _METADATA,
    Column("name", String, primary_key=True),
    _text("encoder_id"),
    _number("changed_at"),
)

_VALUES = {
    "videos": {
        "interruptions": "0",
        "request_id": "NULL",
        "inference_seconds": "NULL",
        # The setting's default: pending videos get it. Those that have ended expire at `expires_at`
        # alone, which is NULL: they were promised no expiry.
        "lifetime": "604800",
        "expires_at": "NULL",
        "deadline": "NULL",
        "bytes": "NULL",
    },
    "encoder_jobs": {
        "interruptions": "0",
        "request_id": "NULL",
        "concepts": (
            "json_array(json_object('name', concept, 'kind', kind, 'synonyms', json(synonyms)))"
        ),
        "parent": "NULL",
        "parent_digest": "NULL",
        "gate": "'{}'",  # the gate's own defaults
    },
}


def upgrade() -> None:
    """Create the tables that are absent, and rebuild those that lack columns."""
    connection = op.get_bind()
    for table in _METADATA.sorted_tables:
        inspector = inspect(connection)
        if not inspector.has_table(table.name):
            table.create(connection)
            continue
        present = {column["name"] for column in inspector.get_columns(table.name)}
        if present != set(table.columns.keys()):
            rebuild(connection, table, _VALUES[table.name])
    for table in (_VIDEOS, _ENCODER_JOBS):
        connection.execute(table.update().values(request_hash=""))  # server.storage.records
