"""Revision 0009: what was counted of published encoders since their judging."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, Integer, PrimaryKeyConstraint, String

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "audits",
        Column("identity", String, nullable=False),
        Column("encoder_id", String, nullable=False),
        Column("counts", JSON, nullable=False),
        Column("measures", JSON, nullable=False),
        Column("judge", String, nullable=True),
        Column("state", String, nullable=False),
        Column("reason", String, nullable=True),
        Column("audited_at", Integer, nullable=True),
        Column("served_judged", Integer, nullable=False),
        Column("served_shown", Integer, nullable=False),
        PrimaryKeyConstraint("identity"),
    )
