"""Who runs next. Decides that and nothing else: it never touches a tensor and reads no clock.

Two rules. *Between two classes of work*: as long as normal work waits, low-priority work gets
`low_share` of the device's time and no more; alone, either gets everything. *Within a class*: the
shortest remaining work first, so that short requests overtake long ones and equal ones finish one
after the other; and every `oldest_every`-th turn goes to the oldest, so that nothing starves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Work(Protocol):
    """What the scheduler needs to know of a piece of work."""

    @property
    def low_priority(self) -> bool:
        """Whether it may only use spare moments."""
        ...

    @property
    def remaining(self) -> float:
        """How much is left to do, in any unit common to all work."""
        ...


W = TypeVar("W", bound=Work)


class Scheduler(Generic[W]):
    """Keeps the work in flight and picks whose turn it is. Not thread safe.

    Args:
        low_share: share of the time for low-priority work while normal work waits, in [0, 1).
        oldest_every: one turn in this many goes to the oldest work of its class.
    """

    def __init__(self, *, low_share: float = 0.15, oldest_every: int = 4) -> None:
        if not 0 <= low_share < 1 or oldest_every < 1:
            raise ValueError(
                f"low_share must be in [0, 1) and oldest_every at least 1, "
                f"not {low_share} and {oldest_every}"
            )
        self._low_share = low_share
        self._oldest_every = oldest_every
        self._work: list[W] = []  # in the order of arrival
        self._turns = {False: 0, True: 0}
        self._credit = 0.0  # seconds that low-priority work may take before normal work

    def __len__(self) -> int:
        return len(self._work)

    def __iter__(self) -> Iterator[W]:
        return iter(list(self._work))

    def add(self, work: W) -> None:
        """Takes in new work."""
        self._work.append(work)

    def remove(self, work: W) -> None:
        """Forgets work that is done. Raises ValueError if it is not here."""
        self._work.remove(work)

    def next(self) -> W | None:
        """Whose turn it is, or None if there is no work. Report its cost with `spent`."""
        normal = [work for work in self._work if not work.low_priority]
        low = [work for work in self._work if work.low_priority]
        if not normal or not low:
            self._credit = 0.0  # neither class saves up time while the other is away
        waiting = low if low and (not normal or self._credit > 0) else normal
        if not waiting:
            return None
        low_priority = waiting is low
        self._turns[low_priority] += 1
        if self._turns[low_priority] % self._oldest_every == 0:
            return waiting[0]
        return min(waiting, key=lambda work: work.remaining)  # the first of equals is the oldest

    def spent(self, work: W, seconds: float) -> None:
        """Says how long the turn of `work` took."""
        if work.low_priority:
            self._credit -= seconds
        else:
            self._credit += seconds * self._low_share / (1 - self._low_share)
