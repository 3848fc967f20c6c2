"""Ticket: the handle on work that was given to the engine. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event
from time import perf_counter
from traceback import clear_frames
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from encoders import PalimpsestError
from video.engine.timeline import Timeline

if TYPE_CHECKING:
    from video.models.prompt_encoder import TextDecisions

log = logging.getLogger(__name__)
T = TypeVar("T")
State = Literal["queued", "running", "completed", "failed", "cancelled"]


class Cancelled(PalimpsestError):
    """The work was cancelled before it was done."""

    code = "cancelled"


class DeadlineExceeded(PalimpsestError):
    """The work was not done by its deadline."""

    code = "deadline_exceeded"


class EngineStopped(PalimpsestError):
    """The engine was stopped, or failed to start, before the work was done."""

    code = "engine_stopped"


class OutOfMemory(PalimpsestError):
    """The device had no room for a step, even after the caches were freed."""

    code = "out_of_memory"


class Ticket(Generic[T]):
    """Work given to the engine: query it, wait for it or cancel it, from any thread."""

    def __init__(self) -> None:
        self._future: Future[T] = Future()
        self._cancel = Event()
        self._state: State = "queued"
        self._progress = 0.0
        self._begun: float | None = None
        self._ended: float | None = None
        self._device_seconds = 0.0
        self.decisions: TextDecisions = ()
        """The encoders' decisions about the texts of a request, once it has begun."""
        self.timeline = Timeline()
        """The parts of a request so far; an iterator has none."""
        self._wake: Callable[[], None] = lambda: None
        self._listeners: list[Callable[[], None]] = []

    @property
    def state(self) -> State:
        """Current state. Only the engine changes it."""
        return self._state

    @property
    def progress(self) -> float:
        """Share of the work done, 0 to 1; never falls. An iterator's is 0 until it is done."""
        return self._progress

    @property
    def seconds(self) -> float:
        """Seconds from the first step to the end, or to now; turns of other tasks included."""
        if self._begun is None:
            return 0.0
        return (perf_counter() if self._ended is None else self._ended) - self._begun

    @property
    def device_seconds(self) -> float:
        """Seconds of the loop's turns for this work so far; of a shared step, an equal part."""
        return self._device_seconds

    @property
    def cancel_requested(self) -> bool:
        """True once `cancel` was called."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """End the work before its next step; `result` then raises Cancelled.

        Does nothing if the work has ended.
        """
        self._cancel.set()
        self._wake()

    def done(self) -> bool:
        """Return true if the work is completed, failed or cancelled."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result and return it.

        Raises:
            TimeoutError: the work is not done after `timeout` seconds; it continues.
            Cancelled: the work was cancelled.
            EngineStopped: the engine stopped first.
            Exception: the error that made the work fail.
        """
        return self._future.result(timeout)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` whenever the work has begun, advanced or ended.

        It is called on the engine's thread and must be quick; at once if the work has ended. If it
        raises, the error is logged and the work continues.
        """
        self._listeners.append(callback)
        if self.done():
            callback()

    # Methods for the engine.

    def on_cancel(self, wake: Callable[[], None]) -> None:
        """Make `cancel` call `wake`, too."""
        self._wake = wake

    def advance(self, progress: float) -> None:
        """Record that the work has begun, or its progress."""
        self._state = "running"
        self._begun = perf_counter() if self._begun is None else self._begun
        self._progress = max(self._progress, progress)
        self._notify()

    def charge(self, seconds: float) -> None:
        """Add the time of a turn. Called before the work's end is recorded."""
        self._device_seconds += seconds

    def complete(self, result: T) -> None:
        """Record the result."""
        self._state, self._progress, self._ended = "completed", 1.0, perf_counter()
        self.timeline.end()
        self._future.set_result(result)
        self._notify()

    def fail(self, error: BaseException) -> None:
        """Record the error that ended the work.

        Its traceback, and those of its causes, keep their lines, but not what the functions had in
        hand: the work's tensors.
        """
        for each in _with_causes(error):
            clear_frames(each.__traceback__)
        self._state = "cancelled" if isinstance(error, Cancelled) else "failed"
        self._ended = perf_counter()
        self.timeline.end()
        self._future.set_exception(error)
        self._notify()

    def _notify(self) -> None:
        for callback in list(self._listeners):
            try:
                callback()
            except Exception:  # the listener's failure, not the work's
                log.exception("A progress callback failed; its work continues.")


def _with_causes(error: BaseException) -> list[BaseException]:
    """Return the error, its cause, that one's cause and so on; an error can be its own cause."""
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in found:
        found.append(each)
        each = each.__cause__ or each.__context__
    return found
