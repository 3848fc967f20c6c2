"""What the loop advances: a request, or somebody's iterator. Each knows how to do its next step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from video.engine.encoder_loader import release
from video.engine.scheduler import Phase
from video.engine.ticket import Cancelled, DeadlineExceeded, Ticket
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from video.engine.encoder_loader import EncoderLease
    from video.engine.runner import ModelRunner
    from video.models.backbone import Backbone, Frames, Run

log = logging.getLogger(__name__)
T = TypeVar("T")


class Task(Protocol):
    """One entry of the loop. `tick` and `close` are called on the loop's thread only."""

    ticket: Ticket[Any]
    result: Any
    deadline: float | None
    """On `perf_counter`'s clock; work that is not done by then has failed."""

    @property
    def low_priority(self) -> bool:
        """Whether it runs in spare moments only."""
        ...

    @property
    def remaining(self) -> float:
        """What is left to do, in frames times steps."""
        ...

    @property
    def phase(self) -> Phase:
        """What its next turn is."""
        ...

    @property
    def shape(self) -> Hashable:
        """What it must share with others to be stepped with them."""
        ...

    def tick(self, device: ModelRunner) -> bool:
        """Does the next step; returns whether that was the last, and `result` is there."""
        ...

    def close(self) -> None:
        """Lets go of all it holds, be it done, failed or cancelled. Called once."""
        ...


class GenerationTask:
    """A request on its way: its encoder is held, it begins, a denoising step a turn, its frames.

    Its encoder is asked for when its first turn comes, not before: until then it can be deleted.
    Loading it and decoding the frames go on beside the loop; until they are done it has no turn.

    Args:
        request: what to make.
        on_progress: told the share done.
        wake: called when its encoder or its frames are there, on any thread.
    """

    def __init__(
        self,
        request: GenerationRequest,
        on_progress: Callable[[float], None] | None,
        wake: Callable[[], None],
    ) -> None:
        self.ticket: Ticket[Frames] = Ticket()
        self.result: Frames | None = None
        self.low_priority = request.low_priority
        self.deadline = request.deadline
        self.shape: Hashable = request.frames
        self._request = request
        self._on_progress = on_progress
        self._wake = wake
        self._handed_in = perf_counter()
        self._held: Future[EncoderLease] | None = None
        self._run: Run | None = None
        self._frames: Future[Frames | None] | None = None

    @property
    def remaining(self) -> float:
        done = self._run.step if self._run else 0
        return (self._request.steps + 1 - done) * (self._request.frames or 1)

    @property
    def phase(self) -> Phase:
        if self._run is None:
            return "begin" if self._held is None or self._held.done() else "waiting"
        if self._run.step < self._run.steps:
            return "step"
        return "alone" if self._frames is None or self._frames.done() else "waiting"

    def tick(self, device: ModelRunner) -> bool:
        if self._held is None:
            self._held = device.loads.hold(self._request.encoder)
            self._held.add_done_callback(lambda _: self._wake())
        elif self._run is None:
            self._run = device.begin(self._request, self._held)
            if not device.backbone.is_native:
                self.shape = self
            device.observer.waited(perf_counter() - self._handed_in)
            self.ticket.advance(0.0)
        elif self._run.step < self._run.steps:
            step_together([self], device)
        elif self._frames is None:
            self._frames = device.decode_beside(self._run)
            self._frames.add_done_callback(lambda _: self._wake())
        else:
            frames = self._frames.result()
            self.result = device.decode(self._run) if frames is None else frames
            notify(self._on_progress, 1.0)
        return self.result is not None

    def close(self) -> None:
        run, self._run, self._frames = self._run, None, None
        if run is not None:
            run.close()
        if self._held is not None:
            release(self._held)

    @property
    def run(self) -> Run:
        """Where it is. RuntimeError before it has begun."""
        if self._run is None:
            raise RuntimeError("the request has not begun")
        return self._run

    def moved(self) -> None:
        """A step has been taken."""
        self.ticket.advance(self.run.step / (self.run.steps + 1))
        notify(self._on_progress, self.ticket.progress)


def step_together(batch: Sequence[GenerationTask], device: ModelRunner) -> None:
    """One denoising step of requests of the same shape. If it fails none of them has moved."""
    device.step([work.run for work in batch])
    for work in batch:
        work.moved()


class IteratorTask(Generic[T]):
    """An iterator on its way, one item a tick; its last item is the result.

    Always low priority. It counts as nearly done, because what it holds (gradients, an optimiser's
    state) is large: the sooner it is done, the better.
    """

    low_priority = True
    remaining = 1.0
    phase: Phase = "alone"
    deadline: float | None = None

    def __init__(
        self,
        make: Callable[[Backbone], Iterator[T]],
        on_progress: Callable[[T], None] | None,
    ) -> None:
        self.ticket: Ticket[T] = Ticket()
        self.result: T | None = None
        self.shape: Hashable = self
        self._make = make
        self._on_progress = on_progress
        self._iterator: Iterator[T] | None = None

    def tick(self, device: ModelRunner) -> bool:
        started = perf_counter()
        if self._iterator is None:
            self.ticket.advance(0.0)
            self._iterator = iter(self._make(device.backbone))
        try:
            self.result = next(self._iterator)
        except StopIteration:
            return True
        device.observer.iterated(perf_counter() - started)
        notify(self._on_progress, self.result)
        return False

    def close(self) -> None:
        iterator, self._iterator = self._iterator, None
        if close := getattr(iterator, "close", None):  # generators have it, iterators need not
            close()


def over(work: Task) -> Exception | None:
    """Why work is not to go on, if it is not."""
    if work.ticket.cancel_requested:
        return Cancelled("Cancelled on request.")
    if work.deadline is not None and perf_counter() >= work.deadline:
        return DeadlineExceeded("It was not done in the time it was given.")
    return None


def notify(callback: Callable[[T], None] | None, value: T) -> None:
    """Tells a listener. Its failure is its own: the work goes on, and the log says so."""
    if callback is None:
        return
    try:
        callback(value)
    except Exception:
        log.exception("A progress callback failed; the work it listens to goes on.")
