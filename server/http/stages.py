"""Connections by stage: which one has waited longest, without a look at all of them.

In a flood each new connection takes another's place. A look at two thousand would take 5 ms each
time, so that a thousand newcomers would stop the server for seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

GRACE_S = 0.5
"""Time in a stage for which a connection gives way after the others: a request's bytes follow."""


class Stage(IntEnum):
    """The stages of a connection, in the order in which it gives way to a new one."""

    CLOSING = 0
    """The client has its answer, and still sends a body that was refused."""
    WAITING = 1
    """No request, or the headers of one are not complete."""
    READING = 2
    """The body is not complete."""
    SLOW = 3
    """The client takes the answer slowly."""
    ANSWERING = 4
    """The server has the request: such a connection is never closed for another one."""


class Staged(Protocol):
    """An object that has a stage."""

    @property
    def stage(self) -> Stage:
        """The stage that it is in now."""
        ...


T = TypeVar("T", bound=Staged)


class ByStage(Generic[T]):
    """Things by stage, each stage in the order in which they came to it.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._noted: dict[T, Stage] = {}
        self._in: dict[Stage, dict[T, float]] = {stage: {} for stage in Stage}

    def note(self, one: T) -> None:
        """Note that a thing is new, or may have come to another stage."""
        before, stage = self._noted.get(one), one.stage
        if before is not stage:
            if before is not None:
                del self._in[before][one]
            self._noted[one] = stage
            self._in[stage][one] = self._clock()

    def remove(self, one: T) -> None:
        """Forget a thing."""
        if (stage := self._noted.pop(one, None)) is not None:
            del self._in[stage][one]

    def giving_way(self) -> Iterator[T]:
        """Yield what gives way to a new connection, the first first.

        What came to its stage a moment ago comes last: in a flood the request of a new connection
        would else be thrown away before it is read. A thing that came to a later stage is noted
        there. One that came to an earlier stage has to be noted before.
        """
        old = self._clock() - GRACE_S
        for latest in (old, float("inf")):
            for stage in (Stage.CLOSING, Stage.WAITING, Stage.READING, Stage.SLOW):
                for one, since in tuple(self._in[stage].items()):
                    if since > latest:
                        break
                    if one.stage is stage:
                        yield one
                    else:
                        self.note(one)
