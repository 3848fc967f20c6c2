"""Rows about keys: the keys themselves, their usage by day, and their rates."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from server.storage.schema import Base


class KeyRow(Base):
    """An API key that was made by the command line. The secret itself is never stored."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The key's name, such as the tenant's. It is the owner of what the key makes."""
    sha256: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the secret, in hex."""
    role: Mapped[str]
    """"admin" or "user"."""
    encoders: Mapped[list[Any] | None]
    """Ids, aliases, "base" or "*" that a user's key may use; None for an admin."""
    default_encoder: Mapped[str | None]
    additions: Mapped[list[Any] | None]
    """Ids, aliases or "*" that may be added to one of `encoders`, in a set; None: nothing."""
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Limits of this key by name; those that are absent have the settings' values."""
    created_at: Mapped[int] = mapped_column(default=lambda: int(time.time()))
    expires_at: Mapped[int | None]
    """Time from which the key is refused; None: it does not expire."""
    revoked_at: Mapped[int | None]
    """Time at which the key was revoked. The row stays, so that its id is not given again."""


class UsageRow(Base):
    """Usage of one key on one day, in UTC. Deleting a video or an encoder does not lower it."""

    __tablename__ = "usage"

    owner: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    """Day as `2026-11-28`."""
    requests: Mapped[int] = mapped_column(default=0)
    """Requests that make, change, delete or verify something, accepted or refused. Repeats with an
    Idempotency-Key, malformed requests and those over the limit a minute do not count."""
    videos: Mapped[int] = mapped_column(default=0)
    """Videos accepted."""
    encoders: Mapped[int] = mapped_column(default=0)
    """Encoders accepted, to be made or judged."""
    device_seconds: Mapped[float] = mapped_column(default=0.0)
    """Seconds of the device for videos and encoders that ended or were deleted."""


class RateRow(Base):
    """Number of events of one kind by one key in one window of time."""

    __tablename__ = "rate_counters"

    owner: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    """Kind of event, such as "requests"."""
    window: Mapped[int] = mapped_column(primary_key=True)
    """Start of the window. Rows of past windows are swept."""
    count: Mapped[int] = mapped_column(default=0)
