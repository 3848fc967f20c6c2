"""What is asked of the engine, and the ticket one gets for it. Nothing here needs torch."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from encoders import PalimpsestError

if TYPE_CHECKING:
    from video.models.backbone import Capabilities

T = TypeVar("T")
State = Literal["queued", "running", "completed", "failed", "cancelled"]


class RequestInvalid(PalimpsestError, ValueError):
    """The backbone cannot do what the request asks; `param` says which part of it."""

    code = "invalid_request"


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


@dataclass(frozen=True)
class GenerationRequest:
    """A clip, or for `frames=None` one still of the image twin.

    `encoder` is (id, digest) as resolved when the request was accepted; None is the unmodified
    encoder. `guidance` up to 1 means none. `low_priority` work runs in spare moments. `deadline` is
    when it is of no more use, on `time.perf_counter`'s clock.
    """

    prompt: str
    negative_prompt: str = ""
    encoder: tuple[str, str] | None = None
    seed: int = 0
    steps: int = 20
    guidance: float = 3.5
    frames: int | None = 12
    low_priority: bool = False
    deadline: float | None = None

    def check(self, capabilities: Capabilities) -> None:
        """Raises RequestInvalid if a backbone with these limits cannot do it."""
        if not 1 <= self.steps <= capabilities.steps_max:
            raise RequestInvalid(
                f"steps must be 1 to {capabilities.steps_max}, not {self.steps}.", param="steps"
            )
        if self.frames is not None and not 1 <= self.frames <= capabilities.frames_max:
            raise RequestInvalid(
                f"frames must be 1 to {capabilities.frames_max}, not {self.frames}.", param="frames"
            )
        if not 0 <= self.guidance <= 100:
            raise RequestInvalid(
                f"guidance must be 0 to 100, not {self.guidance}.", param="guidance"
            )
        if not 0 <= self.seed < 2**63:
            raise RequestInvalid(f"seed must be 0 to 2^63 − 1, not {self.seed}.", param="seed")


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

    # The engine's side.

    def on_cancel(self, wake: Callable[[], None]) -> None:
        """Has `cancel` call `wake`, too."""
        self._wake = wake

    def advance(self, progress: float) -> None:
        """The work has begun, or has come this far."""
        self._state = "running"
        self._begun = perf_counter() if self._begun is None else self._begun
        self._progress = max(self._progress, progress)

    def complete(self, result: T) -> None:
        """The work is done."""
        self._state, self._progress, self._ended = "completed", 1.0, perf_counter()
        self._future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """The work has ended without a result."""
        self._state = "cancelled" if isinstance(error, Cancelled) else "failed"
        self._ended = perf_counter()
        self._future.set_exception(error)
