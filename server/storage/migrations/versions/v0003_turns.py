"""Indexes by which the dispatcher finds the oldest queued job of each owner."""

from __future__ import annotations

from alembic import op
from sqlalchemy import inspect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes that are absent."""
    inspector = inspect(op.get_bind())
    for table in ("videos", "encoder_jobs"):
        name = f"ix_{table}_turn"
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, ["status", "owner", "sequence"])
