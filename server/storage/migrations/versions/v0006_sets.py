"""Revision 0006: sets of encoders: of a video, what a key may add, and what was decided."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add columns that may be NULL, which SQLite does without rebuilding a table."""
    op.add_column("videos", Column("decisions", JSON, nullable=True))
    op.add_column("videos", Column("encoder_members", JSON, nullable=True))
    op.add_column("keys", Column("additions", JSON, nullable=True))
