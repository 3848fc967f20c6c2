"""What the loop tells whoever counts: how long each thing took."""

from __future__ import annotations


class Observer:
    """Somebody who counts; this one counts nothing. Called on the loop's thread, and `decoded`
    beside it: what overrides these must neither raise nor take long.
    """

    def waited(self, seconds: float) -> None:
        """A request's first step has begun, so long after it was handed in."""

    def encoded(self, seconds: float) -> None:
        """A request's prompts were embedded, or found embedded."""

    def stepped(self, seconds: float, batch: int) -> None:
        """A denoising step of so many requests was taken."""

    def decoded(self, seconds: float) -> None:
        """A request's frames were decoded."""

    def iterated(self, seconds: float) -> None:
        """Somebody's iterator was advanced by an item: a step of unlearning, mostly."""
