"""Revision 0002: whether a video's prompt was cut, and the time left of an encoder's job."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Boolean, Column, Integer

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two columns that may be NULL, which SQLite does without rebuilding a table."""
    op.add_column("videos", Column("is_cut", Boolean, nullable=True))
    op.add_column("encoder_jobs", Column("seconds_left", Integer, nullable=True))
