"""Limits of request bodies, shared by all requests of one server."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

LARGE_BODIES = 4
"""Large bodies of a kind that are read or used at a time. What they take in memory is this many
times `max_body_bytes`, and the pixels of one image each."""


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


class BodySlots:
    """Places for large bodies, each held until its request is answered. Use it on one event loop.

    Args:
        total: Places in all.
        per_key: Places of one key; whoever sends slowly must not take those of others.
    """

    def __init__(self, total: int, per_key: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._keys = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(per_key))

    async def acquire(self, key: str) -> None:
        """Wait for a place."""
        await self._keys[key].acquire()
        try:
            await self._all.acquire()
        except BaseException:  # the wait was cancelled
            self._keys[key].release()
            raise

    def release(self, key: str) -> None:
        """Give a place back."""
        self._all.release()
        self._keys[key].release()


@dataclass(frozen=True)
class BodyLimits:
    """Sizes and times of the bodies that a server reads."""

    max_fields_bytes: int
    """A body without images: JSON or a form."""
    max_body_bytes: int
    """A form with files, from a caller who may send some."""
    body_seconds: float = 30.0
    """Time for a body's first bytes."""
    least_bytes_per_second: int = 16 << 10
    """Rate at which the rest has to follow."""
    slot_seconds: float = 10.0
    """Time that a large body waits for others to be done with."""
    fields: FieldLimits = field(default_factory=FieldLimits)
    image_slots: BodySlots = field(default_factory=lambda: BodySlots(LARGE_BODIES, LARGE_BODIES))
    """Places for images, which admins send."""
    file_slots: BodySlots = field(default_factory=lambda: BodySlots(LARGE_BODIES, 1))
    """Places for files to verify, which any key may send."""

    def most(self, *, takes_none: bool, large: bool) -> int:
        """Return the largest size of a body in bytes."""
        if takes_none:
            return 0
        return self.max_body_bytes if large else self.max_fields_bytes

    def seconds_for(self, received: int) -> float:
        """Return the time, from a body's start, in which more than `received` bytes must arrive."""
        return self.body_seconds + received / self.least_bytes_per_second
