"""How many requests are worth a step together: learned from the step times that are seen.

A GPU takes a step of eight small clips in hardly more time than one of one; a CPU gains little, and
then a batch only makes those in it wait for each other. So a batch of a shape is doubled as long as
that makes a request's share of a step shorter, and no further. The two sizes take turns while they
are compared, so that whatever else the machine is doing happens to both.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median

GAIN = 0.1
"""A batch twice as large has to be so much faster for each in it."""
SAMPLES = 5
"""Pairs of steps that are looked at before a size is judged; the first step of a size, in which
kernels are chosen and memory is asked for, is in none of them."""
AGAIN = 2000
"""Steps after which the largest size that was worth it has to prove itself anew, and its double
too: the machine may have been busy with something else."""


@dataclass
class _Shape:
    """What is known of steps of one shape."""

    limit: int = 1  # a power of two
    settled: bool = False
    since: int = 0  # steps since it was settled
    warm: set[int] = field(default_factory=set[int])  # sizes that have been stepped
    before: float | None = None  # seconds of the last step of `limit`, to be compared with
    shares: list[float] = field(default_factory=list[float])
    """Seconds of a step of twice the limit for each in it ÷ the same of a step of the limit."""

    def judged(self, limit: int, *, settled: bool) -> None:
        self.limit, self.settled = limit, settled
        self.since, self.before, self.shares = 0, None, []


class BatchSizes:
    """The largest batch worth taking, for each shape. Not thread safe.

    Args:
        most: no batch is larger.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._shapes: dict[Hashable, _Shape] = {}

    def limit(self, shape: Hashable, among: int) -> int:
        """How many of `among` requests of this shape are to be taken together, at most."""
        known = self._shapes.get(shape)
        if known is None:
            return 1
        double = 2 * known.limit
        is_tried = not known.settled and known.before is not None and double <= among
        return double if is_tried else known.limit

    def took(self, shape: Hashable, count: int, seconds: float) -> None:
        """A step of `count` requests of a shape took so long."""
        known = self._shapes.setdefault(shape, _Shape())
        is_first = count not in known.warm
        known.warm.add(count)
        if known.settled:
            known.since += 1
            if known.since >= AGAIN:
                known.judged(max(1, known.limit // 2), settled=False)
        elif 2 * known.limit > self._most:
            known.judged(known.limit, settled=True)
        elif is_first:
            known.before = None
        elif count == known.limit:
            known.before = seconds
        elif count == 2 * known.limit and known.before is not None:
            known.shares.append(seconds / 2 / known.before)
            known.before = None
            if len(known.shares) == SAMPLES:
                is_worth_it = median(known.shares) <= 1 - GAIN
                known.judged(count if is_worth_it else known.limit, settled=not is_worth_it)

    def no_room(self, shape: Hashable, count: int) -> None:
        """A step of `count` requests did not fit: from now on half as many, or fewer."""
        known = self._shapes.setdefault(shape, _Shape())
        limit = known.limit
        while limit > max(1, count // 2):
            limit //= 2
        known.judged(limit, settled=True)
