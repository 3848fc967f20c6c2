"""Generation state: a request between its first step and its frames."""

from __future__ import annotations

from abc import ABC, abstractmethod

from video.frames import Frames


class GenerationState(ABC):
    """A request that has begun, wherever its steps are computed."""

    steps_done: int
    """Number of steps taken."""
    steps: int
    """Number of steps until it can be decoded."""

    @abstractmethod
    def decode(self) -> Frames:
        """Return the frames, once all steps are taken: (F,H,W,3), F = 1 for a still."""

    @abstractmethod
    def close(self) -> None:
        """Free what the state holds. Called once, however the request ended."""
