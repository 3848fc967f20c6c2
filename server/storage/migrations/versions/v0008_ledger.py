"""Revision 0008: the ledger, and the checkpoint of what was removed from it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, Integer, PrimaryKeyConstraint, String, UniqueConstraint

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables. Videos that were completed before are not entered."""
    op.create_table(
        "ledger",
        Column("sequence", Integer, nullable=False),
        Column("owner", String, nullable=True),
        Column("video_id", String, nullable=True),
        Column("salt", String, nullable=True),
        Column("subject", String, nullable=False),
        Column("encoder_id", String, nullable=True),
        Column("encoder_identity", String, nullable=True),
        Column("encoder_digest", String, nullable=True),
        Column("members", JSON, nullable=False),
        Column("concepts", JSON, nullable=False),
        Column("model", String, nullable=False),
        Column("base", String, nullable=False),
        Column("clip", String, nullable=False),
        Column("completed_at", Integer, nullable=False),
        Column("version", Integer, nullable=False),
        Column("previous", String, nullable=False),
        Column("hash", String, nullable=False),
        PrimaryKeyConstraint("sequence"),
        UniqueConstraint("video_id"),
    )
    for column in ("owner", "clip", "completed_at"):
        op.create_index(f"ix_ledger_{column}", "ledger", [column])
    op.create_table(
        "ledger_checkpoints",
        Column("sequence", Integer, nullable=False),
        Column("hash", String, nullable=False),
        Column("completed_at", Integer, nullable=False),
        PrimaryKeyConstraint("sequence"),
    )
