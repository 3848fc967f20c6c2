"""Engine: the loop that owns the device.

One thread loads the models and takes every step. Loading an encoder and decoding frames can overlap
with steps, so they have threads of their own. In each turn the loop asks the scheduler for the next
task and advances it by one step: one denoising step of a request or of a batch, or one item of an
iterator (unlearning is one). Requests join and leave, report progress and are cancelled between two
steps. An error in a step ends the task it belongs to, never the loop or the rest of a batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Condition, Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, cast

from video.engine.observer import Observer
from video.engine.scheduler import Scheduler
from video.engine.tasks import (
    GenerationTask,
    IteratorTask,
    Task,
    seconds_to_wait,
    step_batch,
    stop_reason,
)
from video.engine.ticket import EngineStopped, OutOfMemory, Ticket
from video.frames import Frames
from video.generation_request import GenerationRequest

if TYPE_CHECKING:  # torch is imported with the models, not with the engine
    from encoders.residency import Residency
    from video.engine.runner import ModelRunner
    from video.models.backbone import Backbone

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class EngineStats:
    """Work in flight, and work done since the engine started."""

    in_flight: int
    """Number of tasks that are not done yet, begun or not."""
    steps: int
    """Number of denoising steps done, counted per request."""
    denoise_seconds: float
    """Seconds of denoising steps."""
    busy_seconds: float
    """Seconds of turns of any kind; the rest of the time the loop has waited."""


class Engine:
    """Accepts requests from any thread and executes them on its own.

    Args:
        load: loads the models. Called on the engine's thread, so that `start` returns at once.
        make_residency: makes the residency for the backbone's text encoder.
        scheduler: decides which task is next.
        observer: receives the duration of everything.
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
        self._runner: ModelRunner | None = None
        self._error: Exception | None = None
        self._busy_seconds = 0.0
        self._settled = Event()  # set once the models are loaded, or loading has failed
        self._stopping = False
        self._closed = False
        self._changed = Condition()  # guards the scheduler, _stopping and _closed
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to load the models, and return. Requests can be submitted already; they wait."""
        self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """End the loop after the current step; unfinished work fails with EngineStopped."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)
        else:
            self._close(EngineStopped("The engine was stopped before it was started."))

    @property
    def ready(self) -> bool:
        """True while the models are loaded and the loop runs."""
        return self._runner is not None and not self._closed

    @property
    def error(self) -> Exception | None:
        """Error that made loading fail or ended the loop; None if there was none."""
        return self._error

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the models are loaded.

        Raises:
            TimeoutError: they are not loaded after `timeout` seconds.
            Exception: the error that made loading fail.
        """
        if not self._settled.wait(timeout):
            raise TimeoutError(f"the models are not loaded after {timeout} s")
        if self._error is not None:
            raise self._error

    @property
    def backbone(self) -> Backbone:
        """Loaded backbone, for uses without the device (capabilities, prompts).

        Raises RuntimeError before it is loaded.
        """
        return self._loaded().backbone

    @property
    def residency(self) -> Residency:
        """Encoders on the device. Raises RuntimeError before the models are loaded."""
        return self._loaded().residency

    def stats(self) -> EngineStats:
        """Return the work in flight and the work done."""
        runner = self._runner
        return EngineStats(
            in_flight=len(self._scheduler),
            steps=runner.steps if runner else 0,
            denoise_seconds=runner.denoise_seconds if runner else 0.0,
            busy_seconds=self._busy_seconds,
        )

    def submit(self, request: GenerationRequest) -> Ticket[Frames]:
        """Queue a clip or a still.

        Args:
            request: the clip or still to make. If it exceeds the backbone's capabilities, the
                ticket fails.

        Returns:
            A ticket whose result is the frames: (F,H,W,3) uint8, F = 1 for a still. Its progress
            is the share of steps done; see `Ticket.on_change`.

        Raises:
            EngineStopped: the engine accepts no more work.
        """
        task = GenerationTask(request, self._wake)
        self._add(task)
        return task.ticket

    def submit_iterator(
        self,
        make: Callable[[Backbone], Iterator[T]],
        on_progress: Callable[[T], None] | None = None,
    ) -> Ticket[T]:
        """Queue an iterator that computes on the device, one item a turn, with low priority.

        Args:
            make: makes the iterator; called on the engine's thread. The iterator may use the device
                freely, but must not wait for other work of this engine.
            on_progress: called with every item, on the engine's thread; it must be quick.

        Returns:
            A ticket whose result is the last item. Cancelling it closes the iterator.

        Raises:
            EngineStopped: the engine accepts no more work.
        """
        task = IteratorTask(make, on_progress)
        self._add(task)
        return task.ticket

    def _add(self, task: Task) -> None:
        task.ticket.on_cancel(self._wake)
        with self._changed:
            if self._stopping or self._closed:
                raise EngineStopped("The engine has stopped and takes no more work.")
            self._scheduler.add(task)
            self._changed.notify()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _loaded(self) -> ModelRunner:
        if self._runner is None:
            raise RuntimeError("the models are not loaded yet: see wait_ready()")
        return self._runner

    # Below, everything runs on the engine's thread.

    def _run(self) -> None:
        reason: Exception = EngineStopped("The engine was stopped before this was done.")
        try:
            # Imports torch; not with this module, so that a server answers in the meantime.
            from video.engine.runner import ModelRunner

            backbone = self._load()
            self._runner = ModelRunner(backbone, self._make_residency(backbone), self._observer)
            self._settled.set()
            while batch := self._next():
                self._turn(batch)
        except Exception as error:
            if self._runner is not None:  # an error of loading is reported by wait_ready
                log.exception("The engine cannot continue.")
            self._error = reason = error
        finally:
            self._close(reason)
            self._settled.set()

    def _next(self) -> list[Task]:
        """Wait for work and return the tasks of the next turn; none when the engine shall stop."""
        idle = False
        while True:
            with self._changed:
                ended = [(t, reason) for t in self._scheduler if (reason := stop_reason(t))]
                if self._stopping:
                    return []
                if not ended:
                    if batch := self._scheduler.next(idle=idle):
                        return batch
                    idle = not self._changed.wait(seconds_to_wait(self._scheduler))
            for task, reason in ended:
                self._end(task, reason)

    def _turn(self, batch: list[Task]) -> None:
        started = perf_counter()
        stepped = batch[0].phase == "step"
        try:
            if len(batch) == 1:
                self._tick(batch[0])
            else:
                step_batch(cast(list[GenerationTask], batch), self._loaded())
                for task in batch:
                    task.ticket.charge((perf_counter() - started) / len(batch))
        except OutOfMemory:  # the batch was too large; none has advanced, and the next is smaller
            stepped = False
            with self._changed:
                self._scheduler.no_room(batch)
        except Exception:  # one request's error: step each alone, so that only that one ends
            stepped = False
            for task in batch:
                self._tick(task)
        seconds = perf_counter() - started
        self._busy_seconds += seconds
        with self._changed:
            self._scheduler.spent(batch, seconds, stepped=stepped)

    def _tick(self, task: Task) -> None:
        """Take one task's turn, and end the task if that was its last turn or failed."""
        started = perf_counter()
        is_last, failure = False, None
        try:
            is_last = task.tick(self._loaded())
        except Exception as error:
            failure = error
        task.ticket.charge(perf_counter() - started)
        if is_last or failure is not None:
            self._end(task, failure)

    def _end(self, task: Task, failure: Exception | None) -> None:
        """Remove a task. What it holds is freed before its ticket tells that it has ended."""
        with self._changed:
            self._scheduler.remove(task)
        result = task.result
        try:
            task.close()
        except Exception as error:
            failure = failure or error
        if failure is None:
            task.ticket.complete(result)
        else:
            task.ticket.fail(failure)

    def _close(self, reason: Exception) -> None:
        with self._changed:
            self._closed = True
            left = list(self._scheduler)
        for task in left:
            self._end(task, reason)
        if self._runner is not None:
            self._runner.stop()
