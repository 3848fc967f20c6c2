"""Rows of signing keys: those that the server made, and the certificates of given ones."""

from __future__ import annotations

import time

from sqlalchemy.orm import Mapped, mapped_column

from server.storage.schema import Base


class SigningKeyRow(Base):
    """A key that clips and reports were signed with. Its row stays, so that they still verify."""

    __tablename__ = "signing_keys"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    """`sha256:…` over the signer's certificate."""
    private_key: Mapped[str | None]
    """PEM; None: the settings name its file, or a command that signs."""
    certificates: Mapped[str]
    """PEM, the signer's first."""
    created_at: Mapped[int] = mapped_column(default=lambda: int(time.time()))
    """Time since when the server has had it."""
    revoked_at: Mapped[int | None]
    """Time from which its signatures count for nothing; None: it was not revoked."""
