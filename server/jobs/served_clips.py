"""Served clips: a few that wait in memory to be looked at by the judge, and are then forgotten."""

from __future__ import annotations

from collections import deque
from random import random
from typing import TYPE_CHECKING, NamedTuple

from encoders import EncoderRef

if TYPE_CHECKING:
    from video.frames import Frames

MOST_WAITING = 4
"""Clips that wait at most: one more pushes the oldest out, so a busy server keeps none long."""


class ServedClip(NamedTuple):
    """A clip that was delivered, and what it was made with."""

    encoder: EncoderRef
    frames: Frames


class ServedClips:
    """The clips that wait. Any thread may add and take them."""

    def __init__(self) -> None:
        self._waiting = deque[ServedClip](maxlen=MOST_WAITING)

    def offer(self, clip: ServedClip, *, share: float) -> None:
        """Add the clip, with the probability `share`."""
        if random() < share:
            self._waiting.append(clip)

    def clear(self) -> None:
        """Forget every clip."""
        self._waiting.clear()

    def take(self) -> ServedClip | None:
        """Remove and return the oldest clip; None if there is none."""
        return self._waiting.popleft() if self._waiting else None
