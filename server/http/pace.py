"""Pace: the least rate at which a client has to take its answer."""

from __future__ import annotations


class Pace:
    """A least rate, while there is something for the client to take.

    It holds for each span of some seconds. So a client that was quick has saved up nothing, and
    one that has nothing to take, as the follower of a quiet job, is never behind.

    Args:
        bytes_per_second: the least rate.
        seconds: the length of a span.
    """

    def __init__(self, bytes_per_second: int, seconds: float) -> None:
        self._seconds = seconds
        self._least = bytes_per_second * seconds
        self._span: tuple[int, float] | None = None  # bytes taken and time at its begin
        self.is_behind = False
        """True if the client took less in the time that has passed last."""

    def rest(self) -> None:
        """Note that the client has nothing to take."""
        self._span, self.is_behind = None, False

    def note(self, taken: int, now: float) -> None:
        """Note how many bytes the client has taken in all, and that there are more for it."""
        if self._span is None or taken - self._span[0] >= self._least:
            self._span = taken, now
        self.is_behind = now - self._span[1] > self._seconds
