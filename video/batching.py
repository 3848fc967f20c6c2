"""How many requests are worth a step together: learned from the step times that are seen.

A GPU takes a step of eight small clips in hardly more time than one of one; a CPU gains nothing,
and then a batch only makes those in it wait for each other. So a batch of a shape is doubled as
long as that makes a request's share of a step shorter, and no further.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median

GAIN = 0.1
"""A batch twice as large has to be so much faster for each in it."""
SAMPLES = 4
"""Full steps of a size that are looked at before it is judged; the first of a size, in which
kernels are chosen and memory is asked for, is not among them."""
AGAIN = 2000
"""Steps after which a size that was not worth it is tried once more: the machine may have been busy
with something else."""


@dataclass
class _Size:
    """What is known of steps of one size."""

    steps: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    @property
    def known(self) -> bool:
        return len(self.seconds) == SAMPLES


@dataclass
class _Shape:
    """What is known of steps of one shape."""

    limit: int = 1  # a power of two
    settled: bool = False
    since: int = 0  # steps since it was settled
    sizes: dict[int, _Size] = field(default_factory=dict[int, _Size])


class BatchSizes:
    """The largest batch worth taking, for each shape. Not thread safe.

    Args:
        most: no batch is larger.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._shapes: dict[Hashable, _Shape] = {}

    def limit(self, shape: Hashable) -> int:
        """How many requests of this shape are to be taken together, at most."""
        return self._shapes[shape].limit if shape in self._shapes else 1

    def took(self, shape: Hashable, count: int, seconds: float) -> None:
        """A step of `count` requests of a shape took so long."""
        known = self._shapes.setdefault(shape, _Shape())
        size = known.sizes.setdefault(count, _Size())
        size.steps += 1
        if size.steps > 1:
            size.seconds.append(seconds)
        if known.settled:
            known.since += 1
            if known.since >= AGAIN:
                self._try_again(known)
        elif count == known.limit and size.known:
            self._judge(known)

    def no_room(self, shape: Hashable, count: int) -> None:
        """A step of `count` requests did not fit: from now on half as many, or fewer."""
        known = self._shapes.setdefault(shape, _Shape())
        while known.limit > max(1, count // 2):
            known.limit //= 2
        known.settled, known.since = True, 0

    def _judge(self, known: _Shape) -> None:
        """The limit's size is known: on to twice as many, or back to half."""
        half = known.sizes.get(known.limit // 2)
        if half is not None and half.known:
            alone, together = median(half.seconds), median(known.sizes[known.limit].seconds) / 2
            if together > (1 - GAIN) * alone:
                known.limit, known.settled, known.since = known.limit // 2, True, 0
                return
        if 2 * known.limit > self._most:
            known.settled, known.since = True, 0
        else:
            known.limit *= 2

    def _try_again(self, known: _Shape) -> None:
        known.settled = False
        known.sizes = {}
