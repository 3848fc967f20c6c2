"""Timeline: when each part of a request began and ended, for whoever draws it afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PartName = Literal["wait", "load", "embed", "denoise", "decode"]


@dataclass
class TimedPart:
    """One part of a request. Times are Unix nanoseconds; `ended` is None while it goes on."""

    name: PartName
    began: int
    ended: int | None = None


class Timeline:
    """The parts of one request, in the order of their beginnings. Any thread may call it."""

    def __init__(self) -> None:
        self._parts: list[TimedPart] = []

    def begin(self, name: PartName) -> None:
        """Note that a part begins now. It goes on until `end`."""
        self._parts.append(TimedPart(name, time.time_ns()))

    def end(self, name: PartName | None = None) -> None:
        """Note that a part ends now, if it goes on; None: every part."""
        now = time.time_ns()
        for part in self._parts:
            if part.ended is None and name in (None, part.name):
                part.ended = now

    def __iter__(self) -> Iterator[TimedPart]:
        return iter(list(self._parts))
