"""Rows of secrets that the server makes for itself."""

from __future__ import annotations

import time

from sqlalchemy.orm import Mapped, mapped_column

from server.storage.schema import Base


class SecretRow(Base):
    """A secret of the server's own."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    """Hex."""
    created_at: Mapped[int] = mapped_column(default=lambda: int(time.time()))
