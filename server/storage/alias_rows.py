"""Rows of aliases: names that stand for encoders and can be pointed elsewhere."""

from __future__ import annotations

import time

from sqlalchemy.orm import Mapped, mapped_column

from server.storage.schema import Base


class AliasRow(Base):
    """An alias and the encoder that it points to now."""

    __tablename__ = "aliases"

    name: Mapped[str] = mapped_column(primary_key=True)
    encoder_id: Mapped[str]
    changed_at: Mapped[int] = mapped_column(default=lambda: int(time.time()))
