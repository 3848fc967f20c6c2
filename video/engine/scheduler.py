"""Who runs next, and with whom. Decides that and nothing else: it never touches a tensor and reads
no clock.

Three rules. *Between two classes of work*: low-priority work takes the spare moments, and a turn
before normal work only where those come to less than `low_share` of the device's time over the last
`WINDOW`; alone, either gets everything. A moment in which normal work waits for something that it
will have at once is not spare: a low turn would make it wait longer. *Within a class*: the
shortest remaining work first, so that short requests overtake long ones and equal ones finish one
after the other; and every `oldest_every`-th turn goes to the oldest, so that nothing starves.
*Together*: whoever has the turn takes along work of the same shape, at whatever step it is, as far
as a larger batch has proved worth it (`BatchSizes`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, Literal, Protocol, TypeVar

from video.engine.batching import BatchSizes

WINDOW = 60.0
"""Seconds of the device's time over which low-priority work is owed its share."""

Phase = Literal["waiting", "begin", "step", "alone"]
"""What a work's next turn is: none, since it waits for something off the device; getting ready to
be stepped; a step that others of its shape can share; anything else."""


class Schedulable(Protocol):
    """What the scheduler needs to know of a piece of work."""

    @property
    def low_priority(self) -> bool:
        """Whether it may only use spare moments."""
        ...

    @property
    def remaining(self) -> float:
        """How much is left to do, in any unit common to all work."""
        ...

    @property
    def phase(self) -> Phase:
        """What its next turn is."""
        ...

    @property
    def shape(self) -> Hashable:
        """What it must share with others to be stepped with them."""
        ...


W = TypeVar("W", bound=Schedulable)


class Scheduler(Generic[W]):
    """Keeps the work in flight and picks whose turn it is. Not thread safe.

    Args:
        low_share: share of the time that low-priority work gets at least, in [0, 1).
        oldest_every: one turn in this many goes to the oldest work of its class.
        sizes: how large a batch may be.
    """

    def __init__(
        self,
        *,
        low_share: float = 0.15,
        oldest_every: int = 4,
        sizes: BatchSizes | None = None,
    ) -> None:
        if not 0 <= low_share < 1 or oldest_every < 1:
            raise ValueError(
                f"low_share must be in [0, 1) and oldest_every at least 1, "
                f"not {low_share} and {oldest_every}"
            )
        self._low_share = low_share
        self._oldest_every = oldest_every
        self._sizes = sizes or BatchSizes()
        self._work: list[W] = []  # in the order of arrival
        self._turns = {False: 0, True: 0}
        self._credit = 0.0  # seconds that low-priority work is owed
        self._idle = False

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

    def next(self, *, idle: bool = False) -> list[W]:
        """Whose turn it is: one, or several for a step together; none if there is no work that
        could go on. Report what it cost with `spent`.

        Args:
            idle: the device has had nothing to do for a moment: until normal work goes on, moments
                are spare even though it waits for something.
        """
        able = [work for work in self._work if work.phase != "waiting"]
        normal = [work for work in able if not work.low_priority]
        low = [work for work in able if work.low_priority]
        if not low:
            self._credit = 0.0  # nobody is owed anything while away
        self._idle |= idle
        is_spare = self._idle or all(work.low_priority for work in self._work)
        waiting = low if low and (self._credit > 0 or (is_spare and not normal)) else normal
        if not waiting:
            return []
        low_priority = waiting is low
        self._idle &= low_priority
        self._turns[low_priority] += 1
        by_age = self._turns[low_priority] % self._oldest_every == 0
        # The first of equals is the oldest.
        first = waiting[0] if by_age else min(waiting, key=lambda work: work.remaining)
        return self._with_others(first, waiting) if first.phase == "step" else [first]

    def spent(self, batch: Sequence[W], seconds: float, *, stepped: bool = False) -> None:
        """Says how long the turn of `batch` took; `stepped` if it was one of the shared kind."""
        if batch[0].low_priority:
            self._credit = max(self._credit - seconds, -WINDOW * self._low_share)
        else:
            self._credit += seconds * self._low_share / (1 - self._low_share)
        if stepped:
            self._sizes.took(batch[0].shape, len(batch), seconds)

    def no_room(self, batch: Sequence[W]) -> None:
        """Says that the step of a batch did not fit on the device: fewer the next time."""
        self._sizes.no_room(batch[0].shape, len(batch))

    def _with_others(self, first: W, waiting: Sequence[W]) -> list[W]:
        """A batch around `first`; or, if there is room in it for work that has to get ready for it
        first, that.
        """
        others = [work for work in waiting if work is not first and work.shape == first.shape]
        most = self._sizes.limit(first.shape, 1 + len(others))
        ready = sorted((w for w in others if w.phase == "step"), key=lambda work: work.remaining)
        if 1 + len(ready) < most:
            for work in others:
                if work.phase == "begin":
                    return [work]
        return [first, *ready[: most - 1]]
