"""The loop that owns the device.

One thread loads the models and takes every step; what can go on beside steps (loading an encoder,
decoding frames) does so in threads of its own. Each turn of the loop asks the scheduler whose turn
it is and advances that work by one step: one denoising step of a request or of a batch of them, or
one item of an iterator (unlearning is one). Between two steps is where requests join and leave,
where progress is told and where cancellation happens. What goes wrong in a step ends the work it
belongs to, never the loop nor the rest of a batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Condition, Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, cast

from video.engine.observer import Observer
from video.engine.scheduler import Scheduler
from video.engine.tasks import GenerationTask, IteratorTask, Task, over, step_together
from video.engine.ticket import EngineStopped, OutOfMemory, Ticket
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from encoders.residency import Residency
    from video.engine.runner import ModelRunner
    from video.models.backbone import Backbone, Frames

LOW_PRIORITY_DELAY_S = 0.25
"""Seconds that the device stands idle before work of low priority is begun though a request waits
for its encoder or its frames: both take less as a rule."""

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class EngineStats:
    """What the loop is doing and has done since it started."""

    in_flight: int
    """Task not done yet, whether it has begun or not."""
    steps: int
    """Denoising steps done, counted per request."""
    denoise_seconds: float
    busy_seconds: float
    """Seconds spent on steps of any kind; the rest the loop has waited for work."""


class Engine:
    """Takes requests from any thread and works on them on its own.

    Args:
        load: loads the models. Called on the loop's thread, so that `start` returns at once.
        make_residency: makes the residency for the backbone's text encoder.
        scheduler: decides whose turn it is.
        observer: is told how long everything takes.
    """

    def __init__(
        self,
        load: Callable[[], Backbone],
        make_residency: Callable[[Backbone], Residency],
        scheduler: Scheduler[Task] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._load = load
        self._make_residency = make_residency
        # An empty scheduler is falsy.
        self._scheduler = Scheduler[Task]() if scheduler is None else scheduler
        self._observer = observer or Observer()
        self._device: ModelRunner | None = None
        self._error: Exception | None = None
        self._busy_seconds = 0.0
        self._settled = Event()  # loaded, or failed to
        self._stopping = False
        self._closed = False
        self._changed = Condition()  # guards the scheduler, _stopping and _closed
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begins to load, and returns. Task may be submitted from now on; it waits."""
        self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """Ends the loop after the step it is at; what is not done fails with EngineStopped."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)
        else:
            self._close(EngineStopped("The engine was stopped before it was started."))

    @property
    def ready(self) -> bool:
        """Whether the models are loaded and the loop runs."""
        return self._device is not None and not self._closed

    @property
    def error(self) -> Exception | None:
        """Why the models could not be loaded, or why the loop ended by itself."""
        return self._error

    def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until the models are loaded.

        Raises:
            TimeoutError: they are not after `timeout` seconds.
            Exception: loading failed, with this.
        """
        if not self._settled.wait(timeout):
            raise TimeoutError(f"the models are not loaded after {timeout} s")
        if self._error is not None:
            raise self._error

    @property
    def backbone(self) -> Backbone:
        """The loaded backbone, for what needs no device (limits, prompts). RuntimeError before."""
        return self._loaded().backbone

    @property
    def residency(self) -> Residency:
        """The encoders that are resident. RuntimeError before the models are loaded."""
        return self._loaded().residency

    def stats(self) -> EngineStats:
        """What the loop is doing and has done."""
        device = self._device
        return EngineStats(
            in_flight=len(self._scheduler),
            steps=device.steps if device else 0,
            denoise_seconds=device.denoise_seconds if device else 0.0,
            busy_seconds=self._busy_seconds,
        )

    def submit(
        self,
        request: GenerationRequest,
        on_progress: Callable[[float], None] | None = None,
    ) -> Ticket[Frames]:
        """Has a clip or a still made: frames (F,H,W,3) uint8, F = 1 for a still.

        Args:
            request: what to make. What the backbone cannot do fails on the ticket.
            on_progress: told the share done, 0 to 1, after every step; on the loop's thread, so it
                must be quick. The ticket's done callbacks must be, too.

        Raises:
            EngineStopped: the engine takes no more work.
        """
        work = GenerationTask(request, on_progress, self._notify)
        self._add(work)
        return work.ticket

    def submit_iterator(
        self,
        make: Callable[[Backbone], Iterator[T]],
        on_progress: Callable[[T], None] | None = None,
    ) -> Ticket[T]:
        """Has `make(backbone)` iterated on the device, one item a turn, in spare moments.

        Args:
            make: called on the loop's thread. The iterator may do on the device what it likes, but
                must not wait for other work of this engine.
            on_progress: told every item; on the loop's thread.

        Returns:
            A ticket whose result is the last item. Cancelling it closes the iterator.

        Raises:
            EngineStopped: the engine takes no more work.
        """
        work = IteratorTask(make, on_progress)
        self._add(work)
        return work.ticket

    def _add(self, work: Task) -> None:
        work.ticket.on_cancel(self._notify)
        with self._changed:
            if self._stopping or self._closed:
                raise EngineStopped("The engine has stopped and takes no more work.")
            self._scheduler.add(work)
            self._changed.notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify()

    def _loaded(self) -> ModelRunner:
        if self._device is None:
            raise RuntimeError("the models are not loaded yet: see wait_ready()")
        return self._device

    # The loop's thread.

    def _run(self) -> None:
        reason: Exception = EngineStopped("The engine was stopped before this was done.")
        try:
            # torch comes in here and not with this module: a server answers while it is imported.
            from video.engine.runner import ModelRunner

            backbone = self._load()
            self._device = ModelRunner(backbone, self._make_residency(backbone), self._observer)
            self._settled.set()
            while batch := self._next():
                self._tick(batch)
        except Exception as error:
            if self._device is not None:  # what fails to load is told to who waits for it
                log.exception("The engine cannot go on.")
            self._error = reason = error
        finally:
            self._close(reason)
            self._settled.set()

    def _next(self) -> list[Task]:
        """Waits for work and returns whose turn it is; nothing when the engine is to stop."""
        idle = False
        while True:
            with self._changed:
                ended = [(work, reason) for work in self._scheduler if (reason := over(work))]
                if self._stopping:
                    return []
                if not ended:
                    if batch := self._scheduler.next(idle=idle):
                        return batch
                    idle = not self._changed.wait(_until(self._scheduler))
            for work, reason in ended:
                self._end(work, reason)

    def _tick(self, batch: list[Task]) -> None:
        started = perf_counter()
        stepped = batch[0].phase == "step"
        try:
            if len(batch) == 1:
                self._alone(batch[0])
            else:
                step_together(cast(list[GenerationTask], batch), self._loaded())
        except OutOfMemory:  # a batch's: fewer of them the next time, and none has moved
            stepped = False
            with self._changed:
                self._scheduler.no_room(batch)
        except Exception:  # somebody's in it: each by itself, and only that one ends
            stepped = False
            for work in batch:
                self._alone(work)
        seconds = perf_counter() - started
        self._busy_seconds += seconds
        with self._changed:
            self._scheduler.spent(batch, seconds, stepped=stepped)

    def _alone(self, work: Task) -> None:
        """One work's own turn; it ends if that was its last, or failed."""
        try:
            if work.tick(self._loaded()):
                self._end(work, None)
        except Exception as error:
            self._end(work, error)

    def _end(self, work: Task, failure: Exception | None) -> None:
        """Takes work out: what it holds is let go of before anybody hears that it has ended."""
        with self._changed:
            self._scheduler.remove(work)
        result = work.result
        try:
            work.close()
        except Exception as error:
            failure = failure or error
        if failure is None:
            work.ticket.complete(result)
        else:
            work.ticket.fail(failure)

    def _close(self, reason: Exception) -> None:
        with self._changed:
            self._closed = True
            left = list(self._scheduler)
        for work in left:
            self._end(work, reason)
        if self._device is not None:
            self._device.stop()


def _until(works: Iterable[Task]) -> float | None:
    """Seconds until something is to be done though nobody calls: none, if there is no work."""
    moments = [
        LOW_PRIORITY_DELAY_S
        if work.deadline is None
        else min(LOW_PRIORITY_DELAY_S, work.deadline - perf_counter())
        for work in works
    ]
    return max(0.0, min(moments)) if moments else None
