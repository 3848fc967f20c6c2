"""What the loop advances: a request, or somebody's iterator. Each knows how to do its next step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from video.requests import GenerationRequest, Ticket

if TYPE_CHECKING:
    from video.backbone import Backbone, Frames
    from video.denoising import Denoising
    from video.device import Device

log = logging.getLogger(__name__)
T = TypeVar("T")


class Work(Protocol):
    """One entry of the loop. `tick` and `close` are called on the loop's thread only."""

    ticket: Ticket[Any]
    result: Any

    @property
    def low_priority(self) -> bool:
        """Whether it runs in spare moments only."""
        ...

    @property
    def remaining(self) -> float:
        """What is left to do, in frames times steps."""
        ...

    def tick(self, device: Device) -> bool:
        """Does the next step; returns whether that was the last, and `result` is there."""
        ...

    def close(self) -> None:
        """Lets go of all it holds, be it done, failed or cancelled. Called once."""
        ...


class Generation:
    """A request on its way: begin, a denoising step a tick, decode."""

    def __init__(
        self, request: GenerationRequest, on_progress: Callable[[float], None] | None
    ) -> None:
        self.ticket: Ticket[Frames] = Ticket()
        self.result: Frames | None = None
        self.low_priority = request.low_priority
        self._request = request
        self._on_progress = on_progress
        self._held = ExitStack()  # the pin on its encoder
        self._denoising: Denoising | None = None

    @property
    def remaining(self) -> float:
        done = self._denoising.step if self._denoising else 0
        return (self._request.steps + 1 - done) * (self._request.frames or 1)

    def tick(self, device: Device) -> bool:
        if self._denoising is None:
            self._denoising = device.begin(self._request, self._held)
            self.ticket.advance(0.0)
        elif self._denoising.step < self._denoising.steps:
            device.step([self._denoising])
            self.ticket.advance(self._denoising.step / (self._denoising.steps + 1))
            notify(self._on_progress, self.ticket.progress)
        else:
            self.result = device.decode(self._denoising)
            notify(self._on_progress, 1.0)
        return self.result is not None

    def close(self) -> None:
        self._denoising = None
        self._held.close()


class Iteration(Generic[T]):
    """An iterator on its way, one item a tick; its last item is the result.

    Always low priority. It counts as nearly done, because what it holds (gradients, an optimiser's
    state) is large: the sooner it is done, the better.
    """

    low_priority = True
    remaining = 1.0

    def __init__(
        self,
        make: Callable[[Backbone], Iterator[T]],
        on_progress: Callable[[T], None] | None,
    ) -> None:
        self.ticket: Ticket[T] = Ticket()
        self.result: T | None = None
        self._make = make
        self._on_progress = on_progress
        self._iterator: Iterator[T] | None = None

    def tick(self, device: Device) -> bool:
        if self._iterator is None:
            self.ticket.advance(0.0)
            self._iterator = iter(self._make(device.backbone))
        try:
            self.result = next(self._iterator)
        except StopIteration:
            return True
        notify(self._on_progress, self.result)
        return False

    def close(self) -> None:
        iterator, self._iterator = self._iterator, None
        if close := getattr(iterator, "close", None):  # generators have it, iterators need not
            close()


def notify(callback: Callable[[T], None] | None, value: T) -> None:
    """Tells a listener. Its failure is its own: the work goes on, and the log says so."""
    if callback is None:
        return
    try:
        callback(value)
    except Exception:
        log.exception("A progress callback failed; the work it listens to goes on.")
