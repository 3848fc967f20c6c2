"""What the loop tells whoever counts: how long each thing took. Called on the loop's thread."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Somebody who counts. None of it may raise or take long."""

    def waited(self, seconds: float) -> None:
        """A request's first step has begun, so long after it was handed in."""
        ...

    def encoded(self, seconds: float) -> None:
        """A request's prompts were embedded, or found embedded."""
        ...

    def stepped(self, seconds: float, batch: int) -> None:
        """A denoising step of so many requests was taken."""
        ...

    def decoded(self, seconds: float) -> None:
        """A request's frames were decoded."""
        ...

    def iterated(self, seconds: float) -> None:
        """Somebody's iterator was advanced by an item: a step of unlearning, mostly."""
        ...


class Nobody:
    """Counts nothing."""

    def waited(self, seconds: float) -> None:
        """Nothing."""

    def encoded(self, seconds: float) -> None:
        """Nothing."""

    def stepped(self, seconds: float, batch: int) -> None:
        """Nothing."""

    def decoded(self, seconds: float) -> None:
        """Nothing."""

    def iterated(self, seconds: float) -> None:
        """Nothing."""
