"""Pipeline run: a call of a stock pipeline, advanced by the engine one step at a time.

A pipeline is one long call. Here it runs in its own thread, but only while the engine waits for it:
after each step of its noise scheduler it stops, and the engine has the device again. So progress
and cancellation work at every step, whatever callbacks the pipeline has or lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import Semaphore, Thread
from typing import Any

import numpy as np

from video.frames import Frames
from video.models.generation_state import GenerationState


class _Closed(BaseException):
    """Ends the pipeline's thread from within; no pipeline catches it by accident."""


class PipelineRun(GenerationState):
    """One call of a pipeline object that has no other user.

    Args:
        pipeline: with its own noise scheduler.
        arguments: of its call.
        frames_of: the pipeline's output → frames (F,H,W,3), as uint8 or in [0, 1].
    """

    def __init__(
        self, pipeline: Any, arguments: dict[str, Any], frames_of: Callable[[Any], Any]
    ) -> None:
        self.steps_done = 0
        self.steps = 0
        self._frames_of = frames_of
        self._may_run, self._stopped = Semaphore(0), Semaphore(0)
        self._closed = False
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._intercept(pipeline.scheduler)
        self._thread = Thread(
            target=self._call, args=(pipeline, arguments), name="pipeline", daemon=True
        )
        self._thread.start()
        self._resume()  # until the number of steps is known

    def advance(self) -> None:
        """Run until the noise scheduler has taken its next step.

        If the pipeline raises, it has ended: this and every later call raises the same error.
        """
        self._resume()
        self.steps_done += 1

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
            self._may_run.release()
        self._thread.join()
        self._result = None

    def _resume(self) -> None:
        if not self._done:
            self._may_run.release()
            self._stopped.acquire()
        if self._error is not None:
            raise self._error

    def _intercept(self, noise_scheduler: Any) -> None:
        """Make the pipeline stop once it has set its timesteps, and after each step."""
        set_timesteps, step = noise_scheduler.set_timesteps, noise_scheduler.step

        @wraps(set_timesteps)  # pipelines inspect its parameters
        def set_timesteps_and_stop(*arguments: Any, **options: Any) -> Any:
            found = set_timesteps(*arguments, **options)
            if not self.steps:
                self.steps = len(noise_scheduler.timesteps)
                self._stop()
            return found

        @wraps(step)
        def step_and_stop(*arguments: Any, **options: Any) -> Any:
            found = step(*arguments, **options)
            self._stop()
            return found

        noise_scheduler.set_timesteps = set_timesteps_and_stop
        noise_scheduler.step = step_and_stop

    # Below, everything runs on the pipeline's thread.

    def _call(self, pipeline: Any, arguments: dict[str, Any]) -> None:
        self._may_run.acquire()
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
        self._may_run.acquire()
        if self._closed:
            raise _Closed
