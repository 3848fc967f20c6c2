"""Observer: receives the duration of everything that the engine does."""

from __future__ import annotations


class Observer:
    """Receiver of durations in seconds; this base class ignores them.

    Methods are called on the engine's thread, `decoded` also on the decoding thread. An override
    must be quick and must not raise.
    """

    def waited(self, seconds: float) -> None:
        """Receive the time from a request's submission to its beginning."""

    def embedded(self, seconds: float) -> None:
        """Receive the time of embedding a request's prompts, or of finding them in the cache."""

    def decided(self, opened: int, closed: int) -> None:
        """Receive how many encoders a request's texts have opened, and how many not."""

    def stepped(self, seconds: float, batch: int) -> None:
        """Receive the time of one denoising step of `batch` requests."""

    def decoded(self, seconds: float) -> None:
        """Receive the time of decoding a request's frames."""

    def iterated(self, seconds: float) -> None:
        """Receive the time of one item of an iterator, mostly a step of unlearning."""
