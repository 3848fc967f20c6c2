"""Tasks: what the engine advances, a request or an iterator, one turn at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from video.engine.encoder_loader import EncoderLease, release
from video.engine.scheduler import Phase, Schedulable
from video.engine.ticket import Cancelled, DeadlineExceeded, Ticket
from video.generation_request import GenerationRequest

if TYPE_CHECKING:  # torch is imported with the models, not with the engine
    from video.engine.runner import ModelRunner
    from video.frames import Frames
    from video.models.backbone import Backbone
    from video.models.generation_state import GenerationState

log = logging.getLogger(__name__)

LOW_PRIORITY_DELAY_S = 0.25
"""Seconds that the device stays idle, while a request waits for its encoder or its frames, before a
low-priority task gets a turn. Both mostly take less."""
T = TypeVar("T")


class Task(Schedulable, Protocol):
    """One entry of the engine's loop. `tick` and `close` are called on the engine's thread only."""

    ticket: Ticket[Any]
    result: Any
    deadline: float | None
    """Time on `perf_counter`'s clock after which an unfinished task has failed."""

    def tick(self, runner: ModelRunner) -> bool:
        """Take the next turn. Return true if it was the last one, and `result` is set."""
        ...

    def close(self) -> None:
        """Free everything the task holds, whether done, failed or cancelled. Called once."""
        ...


class GenerationTask:
    """A request in the engine: load its encoder, begin, take its steps, decode its frames.

    The encoder is loaded from the first turn on; until then it can still be deleted. It is loaded,
    and the frames are decoded, in other threads; meanwhile the task has no turn.

    Args:
        request: the clip or still to make.
        wake: called on any thread when the encoder or the frames are ready.
    """

    def __init__(self, request: GenerationRequest, wake: Callable[[], None]) -> None:
        self.ticket: Ticket[Frames] = Ticket()
        self.result: Frames | None = None
        self.low_priority = request.low_priority
        self.owner = request.owner
        self.deadline = request.deadline
        self.shape: Hashable = request.frames
        self._request = request
        self._wake = wake
        self._submitted = perf_counter()
        self._lease: Future[EncoderLease] | None = None
        self._state: GenerationState | None = None
        self._frames: Future[Frames | None] | None = None
        self.ticket.timeline.begin("wait")

    @property
    def remaining(self) -> float:
        done = self._state.steps_done if self._state else 0
        return (self._request.steps + 1 - done) * (self._request.frames or 1)

    @property
    def phase(self) -> Phase:
        if self._state is None:
            return "begin" if self._lease is None or self._lease.done() else "waiting"
        if self._state.steps_done < self._state.steps:
            return "step"
        return "alone" if self._frames is None or self._frames.done() else "waiting"

    def tick(self, runner: ModelRunner) -> bool:
        timeline = self.ticket.timeline
        if self._lease is None:
            timeline.end("wait")
            if self._request.encoder is not None:
                timeline.begin("load")
            self._lease = runner.hold(self._request)
            # Not `self`, as `waking` says.
            self._lease.add_done_callback(lambda _: timeline.end("load"))
            self._lease.add_done_callback(waking(self._wake))
        elif self._state is None:
            timeline.begin("embed")
            self._state, self.ticket.decisions = runner.begin(self._request, self._lease)
            timeline.end("embed")
            timeline.begin("denoise")
            if not runner.backbone.is_native:
                self.shape = self  # equal to no other: a stock pipeline shares no step
            runner.observer.waited(perf_counter() - self._submitted)
            self.ticket.advance(0.0)
        elif self._state.steps_done < self._state.steps:
            step_batch([self], runner)
        elif self._frames is None:
            timeline.begin("decode")
            self._frames = runner.decode_beside(self.owner, self._state)
            self._frames.add_done_callback(waking(self._wake))
        else:
            frames = self._frames.result()
            self.result = runner.decode(self._state) if frames is None else frames
        return self.result is not None

    def close(self) -> None:
        state, self._state, self._frames = self._state, None, None
        try:
            if state is not None:
                state.close()
        finally:
            lease, self._lease = self._lease, None
            if lease is not None:
                release(lease)

    @property
    def state(self) -> GenerationState:
        """The request's state on the device. Raises RuntimeError before the request has begun."""
        if self._state is None:
            raise RuntimeError("the request has not begun")
        return self._state

    def report_step(self) -> None:
        """Tell the ticket that a step was taken. Decoding counts as one step more."""
        if self.state.steps_done == self.state.steps:
            self.ticket.timeline.end("denoise")
        self.ticket.advance(self.state.steps_done / (self.state.steps + 1))


def waking(wake: Callable[[], None]) -> Callable[[object], None]:
    """Return a callback of a future that calls `wake`.

    A future keeps its callbacks for ever. One that knew the task, which knows the future, would be
    a circle: the encoder would stay in memory after its eviction, until Python looks for circles.
    """
    return lambda _: wake()


def step_batch(batch: Sequence[GenerationTask], runner: ModelRunner) -> None:
    """Take one denoising step of requests of one shape. If it fails, none has advanced."""
    runner.step([task.state for task in batch])
    for task in batch:
        task.report_step()


class IteratorTask(Generic[T]):
    """An iterator in the engine, one item a turn; its last item is the result.

    It has low priority. It counts as nearly done, because what it holds (gradients, an optimiser's
    state) is large: the sooner it ends, the sooner that memory is free.

    Args:
        make: makes the iterator, on the engine's thread.
        on_progress: called with every item, on the engine's thread.
    """

    low_priority = True
    owner = ""
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

    def tick(self, runner: ModelRunner) -> bool:
        started = perf_counter()
        if self._iterator is None:
            self.ticket.advance(0.0)
            self._iterator = iter(self._make(runner.backbone))
        try:
            item = self.result = next(self._iterator)
        except StopIteration:
            return True
        runner.observer.iterated(perf_counter() - started)
        self._report(item)
        return False

    def close(self) -> None:
        iterator, self._iterator = self._iterator, None
        if close := getattr(iterator, "close", None):  # generators have it, iterators need not
            close()

    def _report(self, item: T) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(item)
        except Exception:  # the listener's failure, not the work's
            log.exception("A progress callback failed; its work continues.")


def stop_reason(task: Task) -> Exception | None:
    """Return why a task must end now: cancelled, or past its deadline. None if it may go on."""
    if task.ticket.cancel_requested:
        return Cancelled("Cancelled on request.")
    if task.deadline is not None and perf_counter() >= task.deadline:
        return DeadlineExceeded("It was not done in the time it was given.")
    return None


def seconds_to_wait(tasks: Iterable[Task]) -> float | None:
    """Return the seconds until the loop must look again without a call; None without tasks."""
    seconds = [
        LOW_PRIORITY_DELAY_S
        if task.deadline is None
        else min(LOW_PRIORITY_DELAY_S, task.deadline - perf_counter())
        for task in tasks
    ]
    return max(0.0, min(seconds)) if seconds else None
