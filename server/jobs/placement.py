"""Placement: which waiting videos a replica takes, of several that could.

Idle replicas share what waits: none takes more than its part of all that is waiting or in flight.
Within that, a replica rather takes videos of a shape that it has in flight, since they can share
steps (`video.engine.batching`). Neither rule holds for long against a video that waits: a replica
that is counted may take nothing, and a shape may be nobody's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol, TypeVar

PATIENCE_S = 4.0
"""Time after which a waiting video is any replica's that has a slot."""
GATHER_S = 60.0
"""Time after which a waiting video is the next of its owner's, whatever its shape."""
AHEAD = 64
"""Waiting videos of an owner among which one of a suitable shape is looked for."""


class Waiting(Protocol):
    """A waiting video."""

    @property
    def frames(self) -> int:
        """Its number of frames: those with the same can share a step."""
        ...


Video = TypeVar("Video", bound=Waiting)


@dataclass(frozen=True)
class VideoLoad:
    """Videos in flight and waiting, from the view of one replica."""

    own: Counter[Hashable]
    """Shape → videos that it has in flight."""
    others: frozenset[Hashable]
    """Shapes that others have in flight."""
    in_flight: int
    """Videos that all replicas have in flight."""
    waiting: int
    oldest_s: float
    """Seconds for which the oldest one has waited."""

    def took(self, frames: int) -> None:
        """Count a video of so many frames that the replica has taken since."""
        self.own[frames] += 1

    def room(self, workers: int) -> int:
        """Return how many more videos the replica may take, as one of so many that take some."""
        if self.oldest_s > PATIENCE_S:
            return self.waiting
        part = ceil((self.in_flight + self.waiting) / max(1, workers))
        return max(0, part - sum(self.own.values()))


def suited(waiting: Sequence[Video], load: VideoLoad, *, most: int) -> Video:
    """Return the video that a replica takes next: of those that suit equally, the first.

    Nothing is preferred to one that has waited for `GATHER_S`.

    Args:
        waiting: Videos of one owner, the oldest first; at least one.
        load: The replica's.
        most: Largest batch. More of one shape would not share its steps.
    """

    def rank(video: Video) -> int:
        if 0 < load.own[video.frames] < most:
            return 0
        # A shape that another has may gather there.
        return 1 if video.frames not in load.others else 2

    return waiting[0] if load.oldest_s > GATHER_S else min(waiting, key=rank)
