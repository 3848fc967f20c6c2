"""Turns by owner: which owner's tasks have the next turn, by the device's time each has had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class _Account:
    """Account of one owner."""

    seconds: float
    """Seconds of the device, plus the start that the owner was given when it arrived."""
    turns: int = 0
    """Turns of which it was the first."""


class TurnsByOwner:
    """Fair shares of the device: the owner that had the least time is next.

    This is start-time fair queueing (Goyal, Vin and Cheng 1996): an owner that arrives starts level
    with the one that has had least of those present, so that it cannot save up time while it is
    away. One that leaves with more than that keeps its debt until the others have caught up, so
    that coming and going gains nothing. Not thread safe.

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

    def arrive(self, owner: str) -> None:
        """Note one task more of this owner."""
        if not self._tasks[owner]:
            level = self._level()
            for absent in [name for name in self._accounts if not self._tasks[name]]:
                if self._accounts[absent].seconds <= level:
                    del self._accounts[absent]
            self._accounts.setdefault(owner, _Account(level))
            self._served = None
        self._tasks[owner] += 1

    def leave(self, owner: str) -> None:
        """Note one task less of this owner."""
        self._tasks[owner] -= 1
        if not self._tasks[owner]:
            del self._tasks[owner]

    def next(self, owners: Sequence[str]) -> str:
        """Return which of these owners, which have tasks, has the next turn.

        Of owners with equal time, it is the one with the fewest turns; of those, the first.
        """
        if self._served in owners and self._left_s > 0 and self._tasks[self._served] == 1:
            first = self._served
        else:
            first = min(owners, key=lambda owner: (self._of(owner).seconds, self._of(owner).turns))
            self._served, self._left_s = first, self._slice_s
        self._of(first).turns += 1
        return first

    def turns(self, owner: str) -> int:
        """Return the number of turns of which this owner was the first since it arrived."""
        return self._of(owner).turns

    def seconds(self, owner: str) -> float:
        """Return an owner's time of the device, with the start that it was given."""
        return self._of(owner).seconds

    def spent(self, owner: str, seconds: float) -> None:
        """Charge seconds of the device to an owner."""
        if owner in self._accounts:  # its last task may have left during the turn
            self._accounts[owner].seconds += seconds
        if owner == self._served:
            self._left_s -= seconds

    def _level(self) -> float:
        """Return the least time of the owners that have tasks; of all if none has."""
        present = [self._accounts[owner].seconds for owner in self._tasks]
        return min(present or [account.seconds for account in self._accounts.values()] or [0.0])

    def _of(self, owner: str) -> _Account:
        return self._accounts[owner]
