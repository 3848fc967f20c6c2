"""Revision 0012: the place of a job's request in its trace."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns."""
    for table in ("videos", "encoder_jobs"):
        op.add_column(table, Column("request_trace", JSON, nullable=True))
