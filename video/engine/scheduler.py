"""Scheduler of requests: decides which tasks have the next turn.

It does nothing else: it never touches a tensor and reads no clock. There are four rules.

*Between two priorities*: low-priority tasks run in spare moments. They get a turn before normal
tasks only if they had less than `low_priority_share` of the device's time over the last `WINDOW`
seconds. Alone, either priority gets everything. A moment in which a normal task waits for its
encoder or its frames is not spare: both are ready soon, and a low-priority turn would delay it.

*Between owners of one priority*: the owner that had the least of the device's time is first
(`TurnsByOwner`), and keeps its turn for a moment. So one with many tasks delays one with few by a
turn, not by all its tasks.

*Within an owner*: the task with the shortest remaining work is first, so that short requests
overtake long ones and equal ones finish one after the other. Every `oldest_every`-th turn goes to
the oldest task, so that none starves.

*Together*: a task shares its step with others of its shape, whatever step each is at and whoever
owns them, as long as a larger batch has proved worth it (`BatchSizes`), and its owner is not kept
waiting for others by more than its turns would.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, Literal, Protocol, TypeVar

from video.engine.batching import MIN_GAIN, BatchSizes
from video.engine.owners import TurnsByOwner

SHORT = 3.0
"""Longest step while several owners have work, in steps of one request: the others wait for it."""
SLICE = 2.0
"""Seconds for which an owner keeps its turn."""
WINDOW = 60.0
"""Seconds of the device's time over which low-priority tasks are owed their share."""

Phase = Literal["waiting", "begin", "step", "alone"]
"""Kind of a task's next turn: "waiting" has none yet, "begin" prepares its steps, "step" can be
shared with tasks of its shape, "alone" is anything else."""


class Schedulable(Protocol):
    """Properties of a task that the scheduler uses."""

    @property
    def low_priority(self) -> bool:
        """True if it runs in spare moments only."""
        ...

    @property
    def owner(self) -> str:
        """Name of the party whose time it takes."""
        ...

    @property
    def remaining(self) -> float:
        """Work left, in any unit common to all tasks."""
        ...

    @property
    def phase(self) -> Phase:
        """Kind of its next turn."""
        ...

    @property
    def shape(self) -> Hashable:
        """Key that is equal for tasks that can share a step."""
        ...


W = TypeVar("W", bound=Schedulable)


class Scheduler(Generic[W]):
    """Tasks in flight, and the choice of the next turn. Not thread safe.

    Args:
        low_priority_share: smallest share of the time for low-priority tasks, in [0, 1).
        oldest_every: one turn in this many goes to the oldest task of its owner.
        sizes: limits of the batch size.
    """

    def __init__(
        self,
        *,
        low_priority_share: float = 0.15,
        oldest_every: int = 4,
        sizes: BatchSizes | None = None,
    ) -> None:
        if not 0 <= low_priority_share < 1 or oldest_every < 1:
            raise ValueError(
                f"low_priority_share must be in [0, 1) and oldest_every at least 1, "
                f"not {low_priority_share} and {oldest_every}"
            )
        self._low_share = low_priority_share
        self._oldest_every = oldest_every
        self._sizes = sizes or BatchSizes()
        self._tasks: list[W] = []  # in the order of arrival
        self._owners = {low: TurnsByOwner(SLICE) for low in (False, True)}  # by low_priority
        self._credit = 0.0  # seconds that low-priority tasks are owed
        self._idle = False

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[W]:
        return iter(list(self._tasks))

    def add(self, task: W) -> None:
        """Add a new task."""
        self._owners[task.low_priority].arrive(task.owner)
        self._tasks.append(task)

    def remove(self, task: W) -> None:
        """Remove a task that has ended. Raises ValueError if it was not added."""
        self._tasks.remove(task)
        self._owners[task.low_priority].leave(task.owner)

    def next(self, *, idle: bool = False) -> list[W]:
        """Choose the tasks of the next turn. Report its cost with `spent`.

        Args:
            idle: the device had nothing to do for a moment. Until a normal task runs again, moments
                count as spare even though it waits.

        Returns:
            One task, or several that share a step; none if no task can run now.
        """
        able = [task for task in self._tasks if task.phase != "waiting"]
        normal = [task for task in able if not task.low_priority]
        low = [task for task in able if task.low_priority]
        if not low:
            self._credit = 0.0  # absent tasks are owed nothing
        self._idle |= idle
        is_spare = self._idle or all(task.low_priority for task in self._tasks)
        candidates = low if low and (self._credit > 0 or (is_spare and not normal)) else normal
        if not candidates:
            return []
        low_priority = candidates is low
        self._idle &= low_priority
        owners = self._owners[low_priority]
        owner = owners.next(list(dict.fromkeys(task.owner for task in candidates)))
        own = [task for task in candidates if task.owner == owner]
        by_age = owners.turns(owner) % self._oldest_every == 0
        # Of tasks with equal work, `min` returns the first: the oldest.
        first = own[0] if by_age else min(own, key=lambda task: task.remaining)
        return self._batch(first, candidates) if first.phase == "step" else [first]

    def spent(self, batch: Sequence[W], seconds: float, *, stepped: bool = False) -> None:
        """Record the seconds of a turn; `stepped` if it was a step that can be shared."""
        owners = self._owners[batch[0].low_priority]
        for task in batch:
            owners.spent(task.owner, seconds / len(batch))
        if batch[0].low_priority:
            self._credit = max(self._credit - seconds, -WINDOW * self._low_share)
        else:
            self._credit += seconds * self._low_share / (1 - self._low_share)
        if stepped:
            self._sizes.record(batch[0].shape, len(batch), seconds)

    def no_room(self, batch: Sequence[W]) -> None:
        """Record that the device had no room for a batch; the next one is smaller."""
        self._sizes.no_room(batch[0].shape, len(batch))

    def _batch(self, first: W, candidates: Sequence[W]) -> list[W]:
        """Return a batch with `first`; or a task that must begin before it can join the batch."""
        others = [task for task in candidates if task is not first and task.shape == first.shape]
        limit = self._sizes.limit(first.shape, 1 + len(others))
        ready = sorted((t for t in others if t.phase == "step"), key=lambda task: task.remaining)
        if any(task.owner != first.owner for task in candidates):
            limit = self._sizes.within(first.shape, limit, 1, SHORT)
            return self._shared(first, ready, limit)
        if 1 + len(ready) < limit:
            for task in others:
                if task.phase == "begin":
                    return [task]
        return [first, *ready[: limit - 1]]

    def _shared(self, first: W, ready: list[W], limit: int) -> list[W]:
        """Return a batch with `first` that is fair to all owners.

        Tasks of others may join its owner's if that costs hardly any time. And each other owner
        gets a place of those that would go to more tasks of the first one.
        """
        own = [task for task in ready if task.owner == first.owner]
        guests = [task for task in ready if task.owner != first.owner]
        least = min(1 + len(own), limit)
        free = self._sizes.within(first.shape, limit, least, 1 + MIN_GAIN)
        batch = [first, *own, *guests][:free]
        for guest in {task.owner: task for task in reversed(guests)}.values():
            is_left_out = guest.owner not in {task.owner for task in batch}
            if is_left_out and len(batch) > 1 and batch[-1].owner == first.owner:
                batch = [first, guest, *batch[1:-1]]
        return batch
