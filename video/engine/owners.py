"""Turns by owner: which owner's tasks have the next turn, by the device's time each has had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MOST_DEBT_S = 30.0
"""Largest debt of an owner, in seconds of the device, unless a single turn took longer."""


@dataclass
class _Account:
    """Account of one owner."""

    seconds: float
    """Seconds of the device, plus the start that the owner was given when it arrived."""
    turns: int = 0
    """Turns of which it was the first."""


class TurnsByOwner:
    """Fair shares of the device: the owner that had the least time is next.

    This is start-time fair queueing (Goyal, Vin and Cheng 1996): an owner that arrives, or whose
    tasks could not run for a while, starts level with the one that has had least of those that
    could. So it saves up no time while it is away. One that leaves with more than that keeps its
    debt until the others have caught up, so that coming and going gains nothing.

    A debt is short, whatever happened before: no owner waits long for time that nobody else
    wanted. What an owner had while it was alone is none, since the level rises with it; what it had
    as a guest in others' batches counts up to `MOST_DEBT_S`; and once nobody has tasks, everything
    is forgotten. Not thread safe.

    Args:
        slice_s: Seconds for which an owner of one task keeps its turn, unless another one arrives.
            A short request is then done in one go: it waits once, and not at each step.
    """

    def __init__(self, slice_s: float = 0.0) -> None:
        self._slice_s = slice_s
        self._served: str | None = None
        self._left_s = 0.0
        self._tasks: Counter[str] = Counter()
        self._accounts: dict[str, _Account] = {}
        self._able = frozenset[str]()
        self._level = 0.0  # least time of the owners that could run; it only rises

    def arrive(self, owner: str) -> None:
        """Note one task more of this owner."""
        if not self._tasks:
            self._accounts.clear()
            self._able = frozenset()
        if not self._tasks[owner]:
            for absent in [name for name in self._accounts if not self._tasks[name]]:
                if self._accounts[absent].seconds <= self._level:
                    del self._accounts[absent]
            self._accounts.setdefault(owner, _Account(self._level))
            self._served = None
        self._tasks[owner] += 1

    def leave(self, owner: str) -> None:
        """Note one task less of this owner."""
        self._tasks[owner] -= 1
        if not self._tasks[owner]:
            del self._tasks[owner]
            self._able -= {owner}

    def next(self, owners: Sequence[str]) -> str:
        """Return which of these owners, which have tasks that can run, has the next turn.

        Of owners with equal time, it is the one with the fewest turns; of those, the first.
        """
        self._raise_level(owners)
        first = self._served
        if first is None or first not in owners or self._left_s <= 0 or self._tasks[first] > 1:
            first = min(owners, key=lambda owner: (self._of(owner).seconds, self._of(owner).turns))
            self._served, self._left_s = first, self._slice_s
        self._of(first).turns += 1
        return first

    def turns(self, owner: str) -> int:
        """Return the number of turns of which this owner was the first since it arrived."""
        return self._of(owner).turns

    def spent(self, owner: str, seconds: float) -> None:
        """Charge seconds of the device to an owner."""
        if owner in self._accounts:  # its last task may have left during the turn
            account = self._accounts[owner]
            most = self._level + max(seconds, MOST_DEBT_S)
            account.seconds = max(account.seconds, min(account.seconds + seconds, most))
        if owner == self._served:
            self._left_s -= seconds

    def _raise_level(self, owners: Sequence[str]) -> None:
        """Raise the level to the least time of those that can still run, and the others to it."""
        still = [self._of(owner).seconds for owner in owners if owner in self._able]
        self._level = max(self._level, min(still, default=0.0))
        for owner in owners:
            self._of(owner).seconds = max(self._of(owner).seconds, self._level)
        self._able = frozenset(owners)

    def _of(self, owner: str) -> _Account:
        return self._accounts[owner]
