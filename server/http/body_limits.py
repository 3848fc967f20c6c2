"""Limits of request bodies, shared by all requests of one server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

LARGE_BODIES = 4
"""Large bodies that are read or used at a time. What they take in memory is this many times
`max_body_bytes`, and the pixels of one image each."""


@dataclass(frozen=True)
class FieldLimits:
    """Limits of what a small body holds, counted before it is validated."""

    entries: int = 200
    """Fields of a form; entries of one JSON object or list."""
    depth: int = 8
    """JSON objects and lists inside each other."""
    values: int = 2000
    """All JSON values together."""
    name_length: int = 200
    """Characters of a field's name."""


@dataclass(frozen=True)
class BodyLimits:
    """Sizes and times of the bodies that a server reads."""

    max_fields_bytes: int
    """A body without images: JSON or a form."""
    max_body_bytes: int
    """A form with images, from a caller who may send some."""
    body_seconds: float = 30.0
    """Time for a body's first bytes."""
    least_bytes_per_second: int = 16 << 10
    """Rate at which the rest has to follow."""
    slot_seconds: float = 10.0
    """Time that a large body waits for others to be done with."""
    fields: FieldLimits = field(default_factory=FieldLimits)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_BODIES))
    """Held by a large body until its request is answered."""

    def most(self, *, takes_none: bool, large: bool) -> int:
        """Return the largest size of a body in bytes."""
        if takes_none:
            return 0
        return self.max_body_bytes if large else self.max_fields_bytes

    def seconds_for(self, received: int) -> float:
        """Return the time, from a body's start, in which more than `received` bytes must arrive."""
        return self.body_seconds + received / self.least_bytes_per_second
