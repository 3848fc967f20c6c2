"""Revision 0007: the keys that clips and reports are signed with, and who asked for encoders."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, Integer, PrimaryKeyConstraint, String, UniqueConstraint

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the tables, and columns that may be NULL."""
    op.add_column("encoder_jobs", Column("publication", String, nullable=True))
    op.add_column("encoder_jobs", Column("claim", JSON, nullable=True))
    op.create_table(
        "signing_keys",
        Column("sequence", Integer, nullable=False),
        Column("id", String, nullable=False),
        Column("private_key", String, nullable=True),
        Column("certificates", String, nullable=False),
        Column("created_at", Integer, nullable=False),
        Column("revoked_at", Integer, nullable=True),
        PrimaryKeyConstraint("sequence"),
        UniqueConstraint("id"),
    )
    op.create_table(
        "secrets",
        Column("name", String, nullable=False),
        Column("value", String, nullable=False),
        Column("created_at", Integer, nullable=False),
        PrimaryKeyConstraint("name"),
    )
