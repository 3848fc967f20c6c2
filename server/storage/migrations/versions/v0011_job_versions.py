"""Revision 0011: the version of each job."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column

from server.storage.column_types import INTEGER

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column. The version before accepts jobs without naming it."""
    for table in ("videos", "encoder_jobs"):
        op.add_column(table, Column("job_version", INTEGER, nullable=False, server_default="2"))
