"""Index by which the bytes that an owner stores are summed without reading its rows."""

from __future__ import annotations

from alembic import op
from sqlalchemy import inspect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NAME = "ix_videos_stored"


def upgrade() -> None:
    """Create the index if it is absent."""
    inspector = inspect(op.get_bind())
    if _NAME not in {index["name"] for index in inspector.get_indexes("videos")}:
        op.create_index(_NAME, "videos", ["owner", "bytes"])
