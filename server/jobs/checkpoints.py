"""Checkpoints of an encoder's optimisation, written beside it: no step waits for the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from server.jobs.workspace import Workspace
from server.outage import brief, is_outage

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
"""Least time between two checkpoints: at most this much work is lost, and what a step takes."""
_MOST_TIME = 0.05
"""Share of the time that taking and writing checkpoints may cost: large ones are written less
often."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        workspace: The job's.
        make: Returns the run's state, or None if it cannot be saved; called between two steps.
    """

    def __init__(self, workspace: Workspace, make: Callable[[], bytes | None]) -> None:
        self._workspace = workspace
        self._make = make
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._written: Future[float] | None = None
        self._next = time.monotonic() + INTERVAL_S
        self._closing = Lock()
        self._is_closed = False

    def after_step(self, *, now: bool = False) -> None:
        """Take a checkpoint if one is due, or at once if `now`; call it between two steps."""
        started = time.monotonic()
        if self._written is not None:
            if not self._written.done():
                return
            cost, self._written = self._written.result(), None
            self._next = max(self._next, started + cost / _MOST_TIME)
        if started < self._next and not now:
            return
        checkpoint = self._make()
        self._next = started + INTERVAL_S
        with self._closing:
            if checkpoint is not None and not self._is_closed:
                self._written = self._pool.submit(self._write, checkpoint, started)

    def close(self) -> None:
        """Wait until the last checkpoint is written. Later steps take none.

        The run of a deleted encoder is closed by another thread, and may be in a step.
        """
        with self._closing:
            self._is_closed = True
        self._pool.shutdown()

    def _write(self, checkpoint: bytes, started: float) -> float:
        try:
            self._workspace.save_checkpoint(checkpoint)
        except Exception as error:  # the run itself needs no storage yet
            if not (isinstance(error, OSError) or is_outage(error)):
                raise
            log.warning("a checkpoint could not be written: %s", brief(error))
        return time.monotonic() - started
