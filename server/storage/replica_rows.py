"""Rows of replicas: the servers that work on the database, or did so a short time ago."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from server.storage.schema import Base


class ReplicaRow(Base):
    """One process of a server. Times are Unix seconds by the database's clock."""

    __tablename__ = "replicas"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The process's own; DBOS's executor has it too."""
    started_at: Mapped[float]
    seen_at: Mapped[float]
    """Time of the last heartbeat. The replica counts as dead `LEASE_S` after it."""
    host: Mapped[str]
    url: Mapped[str | None]
    """The address that the process serves, if it was announced."""
    process: Mapped[int]
    version: Mapped[str]
    store: Mapped[str]
    """URL of the store of its files; "" is a directory, which no other replica reads."""
    slots: Mapped[int]
    """Videos that it works on at a time."""
    role: Mapped[str] = mapped_column(server_default=text("'all'"))
    """Role: a value of the setting of this name. Servers before 0011 did all."""
    model: Mapped[str | None]
    """Identity of the model that it has; None until it is loaded, and for a server without one."""
    draining: Mapped[bool] = mapped_column(server_default=text("FALSE"))
    """True once it was told to take no more jobs."""
