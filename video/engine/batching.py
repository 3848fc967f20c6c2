"""Batch sizes: how many requests share a step, learned from the measured times of steps.

A GPU takes a step of eight small clips in hardly more time than a step of one. A CPU gains little,
and a batch only makes its requests wait for each other. So the batch of a shape is doubled as long
as that shortens a request's share of a step. While two sizes are compared, they take turns, so that
other load on the machine affects both.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median

MIN_GAIN = 0.1
"""Smallest gain that justifies a double batch: the time saved per request, as a share of it."""
SAMPLES = 5
"""Pairs of steps that are measured before a size is judged. A size's first step is not measured,
since kernels are chosen and memory is allocated in it."""
REMEASURE_STEPS = 2000
"""Steps after which the limit of a shape is measured again: the machine may have been busy with
other work the last time."""


@dataclass
class _Shape:
    """Measurements of one shape."""

    limit: int = 1  # a power of two
    settled: bool = False
    steps_since: int = 0  # steps since it was settled
    warm: set[int] = field(default_factory=set[int])  # sizes that were stepped before
    seconds_at_limit: float | None = None  # of the last step of `limit`, if not compared yet
    ratios: list[float] = field(default_factory=list[float])
    """Seconds per request in a step of twice the limit, divided by those in a step of the limit."""
    seconds: dict[int, float] = field(default_factory=dict[int, float])
    """Seconds of the last step of each size."""

    def estimate(self, count: int) -> float:
        """Return the seconds of a step of so many, or more if that size was not measured."""
        smaller = max((size for size in self.seconds if size <= count), default=0)
        if smaller:
            return self.seconds[smaller] * count / smaller
        return self.seconds[min(self.seconds)]

    def judge(self, limit: int, *, settled: bool) -> None:
        self.limit, self.settled = limit, settled
        self.steps_since, self.seconds_at_limit, self.ratios = 0, None, []


class BatchSizes:
    """Largest batch that is worth it, for each shape. Not thread safe.

    Args:
        most: largest batch of all.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._shapes: dict[Hashable, _Shape] = {}

    def limit(self, shape: Hashable, among: int) -> int:
        """Return the largest batch to take now, of `among` requests of one shape."""
        known = self._shapes.get(shape)
        if known is None:
            return 1
        double = 2 * known.limit
        measures_double = (
            not known.settled and known.seconds_at_limit is not None and double <= among
        )
        return double if measures_double else known.limit

    def within(self, shape: Hashable, count: int, own: int, times: float) -> int:
        """Return how many of a batch take at most `times` as long as its first `own` alone.

        Args:
            shape: shape of all requests.
            count: requests of the batch.
            own: those that are in it anyhow, at least 1.
            times: 1 or more.
        """
        known = self._shapes.get(shape)
        if known is None:
            return count
        most = times * known.estimate(own)
        while count > own and known.estimate(count) > most:
            count -= 1
        return count

    def record(self, shape: Hashable, count: int, seconds: float) -> None:
        """Record the seconds of a step of `count` requests of one shape."""
        known = self._shapes.setdefault(shape, _Shape())
        is_first = count not in known.warm
        known.warm.add(count)
        known.seconds[count] = seconds
        if known.settled:
            known.steps_since += 1
            if known.steps_since >= REMEASURE_STEPS:
                known.judge(max(1, known.limit // 2), settled=False)
        elif 2 * known.limit > self._most:
            known.judge(known.limit, settled=True)
        elif is_first:
            known.seconds_at_limit = None
        elif count == known.limit:
            known.seconds_at_limit = seconds
        elif count == 2 * known.limit and known.seconds_at_limit is not None:
            known.ratios.append(seconds / 2 / known.seconds_at_limit)
            known.seconds_at_limit = None
            if len(known.ratios) == SAMPLES:
                is_worth_it = median(known.ratios) <= 1 - MIN_GAIN
                known.judge(count if is_worth_it else known.limit, settled=not is_worth_it)

    def no_room(self, shape: Hashable, count: int) -> None:
        """Record that a step of `count` requests did not fit: the limit becomes half or less."""
        known = self._shapes.setdefault(shape, _Shape())
        limit = known.limit
        while limit > max(1, count // 2):
            limit //= 2
        known.judge(limit, settled=True)
