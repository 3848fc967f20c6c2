"""Models of the answers of `/v1/admin/replicas`."""

from __future__ import annotations

from pydantic import BaseModel

from server.roles import Role


class Replica(BaseModel):
    """A server that works on the database, or did so a short time ago."""

    id: str
    role: Role
    alive: bool
    """False once it was not seen for the time of a lease: others take up its jobs."""
    draining: bool
    """True once it takes no more jobs."""
    leads: bool
    """True for the one that sweeps, expires and makes room for all."""
    host: str
    url: str | None
    version: str
    model: str | None
    """The model that it has; null until it is loaded, and for the role `api`."""
    started_at: int
    seen_at: int
    """Unix seconds of its last heartbeat."""
    videos: list[str]
    """Ids of the videos that it works on."""
    encoders: list[str]
    """Ids of the encoders that it makes or judges."""
