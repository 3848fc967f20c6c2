"""A stock pipeline run as the engine runs everything: a step at a time, between others' steps.

A pipeline is one long call. Here it goes on in a thread of its own, and only while the engine waits
for it: each time its scheduler has taken a step it stops, and the loop has the device again. So a
pipeline is followed and cancelled at its scheduler's steps, whatever callbacks it has or lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import Semaphore, Thread
from typing import Any

import numpy as np

from video.models.backbone import Frames, Run


class _Closed(BaseException):
    """Ends the pipeline's thread from within; no pipeline catches it by accident."""


class PipelineRun(Run):
    """One call of a pipeline object that nobody else uses.

    Args:
        pipeline: with a scheduler of its own.
        arguments: of its call.
        frames_of: its output → frames (F,H,W,3), as bytes or in [0, 1].
    """

    def __init__(
        self, pipeline: Any, arguments: dict[str, Any], frames_of: Callable[[Any], Any]
    ) -> None:
        self.step = 0
        self.steps = 0
        self._frames_of = frames_of
        self._goes_on, self._stopped = Semaphore(0), Semaphore(0)
        self._closed = False
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._watch(pipeline.scheduler)
        self._thread = Thread(
            target=self._call, args=(pipeline, arguments), name="pipeline", daemon=True
        )
        self._thread.start()
        self._resume()  # up to where the number of steps is known

    def advance(self) -> None:
        """Goes on until its scheduler has taken the next step. Raises what the pipeline raises; it
        has ended then, and raises the same again.
        """
        self._resume()
        self.step += 1

    def decode(self) -> Frames:
        while not self._done:
            self._resume()
        if self._error is not None:
            raise self._error
        frames = np.asarray(self._frames_of(self._result))
        if frames.dtype != np.uint8:
            frames = (frames.clip(0, 1) * 255).round().astype(np.uint8)
        return frames

    def close(self) -> None:
        self._closed = True
        if not self._done:
            self._goes_on.release()
        self._thread.join()
        self._result = None

    def _resume(self) -> None:
        if not self._done:
            self._goes_on.release()
            self._stopped.acquire()
        if self._error is not None:
            raise self._error

    def _watch(self, scheduler: Any) -> None:
        """Has the scheduler stop once it knows its steps, and after each of them."""
        set_timesteps, step = scheduler.set_timesteps, scheduler.step

        @wraps(set_timesteps)  # pipelines look at its parameters
        def begin(*arguments: Any, **options: Any) -> Any:
            found = set_timesteps(*arguments, **options)
            if not self.steps:
                self.steps = len(scheduler.timesteps)
                self._stop()
            return found

        @wraps(step)
        def stepped(*arguments: Any, **options: Any) -> Any:
            found = step(*arguments, **options)
            self._stop()
            return found

        scheduler.set_timesteps, scheduler.step = begin, stepped

    # The pipeline's thread.

    def _call(self, pipeline: Any, arguments: dict[str, Any]) -> None:
        self._goes_on.acquire()
        try:
            if not self._closed:
                self._result = pipeline(**arguments)
        except _Closed:
            pass
        except BaseException as error:
            self._error = error
        self._done = True
        self._stopped.release()

    def _stop(self) -> None:
        self._stopped.release()
        self._goes_on.acquire()
        if self._closed:
            raise _Closed
