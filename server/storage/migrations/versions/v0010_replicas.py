"""Revision 0010: replicas, and for each job the one that works on it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, PrimaryKeyConstraint

from server.storage.column_types import INTEGER, TEXT

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table and the columns, and put the columns into the indexes of the queue."""
    op.create_table(
        "replicas",
        Column("id", TEXT, nullable=False),
        Column("started_at", Double, nullable=False),
        Column("seen_at", Double, nullable=False),
        Column("host", TEXT, nullable=False),
        Column("url", TEXT, nullable=True),
        Column("process", INTEGER, nullable=False),
        Column("version", TEXT, nullable=False),
        Column("store", TEXT, nullable=False),
        Column("slots", INTEGER, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    for table in ("videos", "encoder_jobs"):
        op.add_column(table, Column("replica", TEXT, nullable=True))
        op.drop_index(f"ix_{table}_turn", table)
        op.create_index(f"ix_{table}_turn", table, ["status", "replica", "owner", "sequence"])
