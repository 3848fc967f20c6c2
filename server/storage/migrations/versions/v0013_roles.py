"""Revision 0013: roles of replicas, their drain, and the model that workers publish."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Boolean, Column, PrimaryKeyConstraint, text

from server.storage.column_types import INTEGER, TEXT

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns, with what a server of an earlier version is, and the table."""
    role = Column("role", TEXT, nullable=False, server_default=text("'all'"))
    draining = Column("draining", Boolean, nullable=False, server_default=text("FALSE"))
    for column in (role, Column("model", TEXT, nullable=True), draining):
        op.add_column("replicas", column)
    op.create_table(
        "published_model",
        Column("slot", INTEGER, autoincrement=False, nullable=False),
        Column("identity", TEXT, nullable=False),
        Column("document", TEXT, nullable=False),
        PrimaryKeyConstraint("slot"),
    )
