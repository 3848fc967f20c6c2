"""Tickets: what a caller of the engine holds while its work is done. Nothing here needs torch."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event
from time import perf_counter
from typing import Generic, Literal, TypeVar

from encoders import PalimpsestError

T = TypeVar("T")
State = Literal["queued", "running", "completed", "failed", "cancelled"]


class Cancelled(PalimpsestError):
    """The request was cancelled before it was done."""

    code = "cancelled"


class DeadlineExceeded(PalimpsestError):
    """The request was not done in the time that it was given."""

    code = "deadline_exceeded"


class EngineStopped(PalimpsestError):
    """The engine was stopped, or never came up, before the request was done."""

    code = "engine_stopped"


class OutOfMemory(PalimpsestError):
    """The device had no room for a step of the request, even after what can be freed was freed."""

    code = "out_of_memory"


class Ticket(Generic[T]):
    """Stands for work given to the engine: ask it, wait for it, cancel it, from any thread."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._future: Future[T] = Future()
        self._cancel = Event()
        self._state: State = "queued"
        self._progress = 0.0
        self._begun: float | None = None
        self._ended: float | None = None
        self._wake: Callable[[], None] = lambda: None
        self._changed: list[Callable[[], None]] = []

    @property
    def state(self) -> State:
        """Where it stands. Only the engine moves it on."""
        return self._state

    @property
    def progress(self) -> float:
        """Share of the work done, 0 to 1; never falls. An iterator's is 0 until it is done."""
        return self._progress

    @property
    def seconds(self) -> float:
        """From its first step to its end, or to now; the turns of others among them included."""
        if self._begun is None:
            return 0.0
        return (perf_counter() if self._ended is None else self._ended) - self._begun

    @property
    def cancel_requested(self) -> bool:
        """Whether `cancel` has been called."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ends the work before its next step; `result` then raises Cancelled. Nothing if done."""
        self._cancel.set()
        self._wake()

    def done(self) -> bool:
        """Whether it is completed, failed or cancelled."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> T:
        """Waits for the result.

        Raises:
            TimeoutError: not done after `timeout` seconds; the work goes on.
            Cancelled, EngineStopped, or whatever made the work fail.
        """
        return self._future.result(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is done or `timeout` seconds have passed; returns whether it is done."""
        try:
            self._future.exception(timeout)
        except TimeoutError:
            return self.done()
        return True

    def add_done_callback(self, callback: Callable[[Ticket[T]], None]) -> None:
        """Calls `callback(ticket)` once it is done: on the engine's thread, or now if it is."""
        self._future.add_done_callback(lambda _: callback(self))

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` whenever the work has begun, come further or ended.

        It is called on the engine's thread and must be quick; at once if the work has ended.
        """
        self._changed.append(callback)
        if self.done():
            callback()

    # The engine's side.

    def on_cancel(self, wake: Callable[[], None]) -> None:
        """Has `cancel` call `wake`, too."""
        self._wake = wake

    def advance(self, progress: float) -> None:
        """The work has begun, or has come this far."""
        self._state = "running"
        self._begun = perf_counter() if self._begun is None else self._begun
        self._progress = max(self._progress, progress)
        self._tell()

    def complete(self, result: T) -> None:
        """The work is done."""
        self._state, self._progress, self._ended = "completed", 1.0, perf_counter()
        self._future.set_result(result)
        self._tell()

    def fail(self, error: BaseException) -> None:
        """The work has ended without a result."""
        self._state = "cancelled" if isinstance(error, Cancelled) else "failed"
        self._ended = perf_counter()
        self._future.set_exception(error)
        self._tell()

    def _tell(self) -> None:
        for callback in list(self._changed):
            callback()
