"""Table of the records that are kept of deleted videos."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, Integer, String, UniqueConstraint, inspect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NAME = "deleted_videos"


def upgrade() -> None:
    """Create the table if it is absent."""
    if inspect(op.get_bind()).has_table(_NAME):
        return
    op.create_table(
        _NAME,
        Column("sequence", Integer, primary_key=True, autoincrement=True),
        Column("id", String, nullable=False),
        Column("owner", String, nullable=False),
        Column("model", String, nullable=False),
        Column("encoder_id", String, nullable=True),
        Column("encoder_digest", String, nullable=True),
        Column("seed", Integer, nullable=False),
        Column("steps", Integer, nullable=False),
        Column("guidance", Double, nullable=False),
        Column("frames", Integer, nullable=False),
        Column("fps", Integer, nullable=False),
        Column("width", Integer, nullable=False),
        Column("height", Integer, nullable=False),
        Column("status", String, nullable=False),
        Column("created_at", Integer, nullable=False),
        Column("completed_at", Integer, nullable=True),
        Column("deleted_at", Integer, nullable=False),
        UniqueConstraint("id"),
    )
    for column in ("owner", "deleted_at"):
        op.create_index(f"ix_{_NAME}_{column}", _NAME, [column])
