"""Revision 0014: how far the optimisation of an encoder is, its losses and its previews."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column."""
    op.add_column("encoder_jobs", Column("training", JSON, nullable=True))
