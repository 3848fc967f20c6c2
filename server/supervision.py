"""Supervision of the worker, in BentoML's parent process.

BentoML runs circus there, which looks after its worker every 10 seconds and passes a signal on.
This adds what a server needs: a worker that has died is replaced at once, one that cannot start
ends the server with exit status 1, and a second signal ends it at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from circus.arbiter import Arbiter

CANNOT_START = signal.SIGUSR1
"""Signal of a worker to its parent: no worker can start. The worker has said why."""
REPEAT_S = 1.0
"""Signals within this time are one: some tools signal a process and its group as well."""
_RETRY_S = 0.05
_RESTARTS_AT_ONCE = 5
"""Workers that are replaced at once within a minute. After that BentoML's way holds: in a container
the server ends, for the orchestrator to see; elsewhere circus tries again in its next round."""


class Supervisor:
    """Supervision from just before circus starts to the end of the parent process.

    Args:
        stop_s: Seconds after which a worker that was told to stop is killed.
    """

    def __init__(self, stop_s: float) -> None:
        self._stop_s = stop_s
        self._arbiter: Arbiter | None = None
        self._cannot_start = False
        self._told_to_stop: float | None = None
        self._restarts: list[float] = []
        self._respawns = True

    def install(self) -> None:
        """Begin once circus' loop runs. Does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        from tornado.ioloop import IOLoop

        self._loop = IOLoop.current()  # circus will take the same one
        self._loop.add_callback(self._begin)
        signal.signal(CANNOT_START, self._on_cannot_start)
        context = click.get_current_context(silent=True)
        if context is not None:
            context.call_on_close(self._exit_status)

    def _begin(self) -> None:
        # BentoML does not hand out its arbiter; the signal handler that circus installs has it.
        handler: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        controller = getattr(handler, "controller", None)
        if controller is None:
            return
        arbiter: Arbiter = controller.arbiter
        self._arbiter = arbiter
        for watcher in arbiter.iter_watchers():
            watcher.graceful_timeout = self._stop_s
            self._respawns = watcher.respawn
            watcher.respawn = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, self._on_child)
        if self._cannot_start:
            self._stop()

    def _on_stop(self, *_: object) -> None:
        now = time.monotonic()
        if self._told_to_stop is None:
            self._told_to_stop = now
            self._loop.add_callback_from_signal(self._stop)
        elif now - self._told_to_stop > REPEAT_S:
            self._loop.add_callback_from_signal(self._kill)

    def _on_cannot_start(self, *_: object) -> None:
        self._cannot_start = True
        if self._arbiter is not None:
            self._on_stop()

    def _on_child(self, *_: object) -> None:
        self._loop.add_callback_from_signal(self._replace)

    def _stop(self) -> None:
        from circus.exc import ConflictError

        assert self._arbiter is not None
        try:
            self._arbiter.stop()
        except ConflictError:  # circus is just looking after its worker
            self._loop.call_later(_RETRY_S, self._stop)

    def _kill(self) -> None:
        assert self._arbiter is not None
        for watcher in self._arbiter.iter_watchers():
            for pid in watcher.get_active_pids():
                os.kill(pid, signal.SIGKILL)

    def _replace(self) -> None:
        """Start another worker if one has died; not too often, if each of them dies."""
        from circus.exc import ConflictError

        assert self._arbiter is not None
        if self._told_to_stop is not None or not self._has_lost_a_worker():
            return
        now = time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < 60]
        if len(self._restarts) >= _RESTARTS_AT_ONCE:
            for watcher in self._arbiter.iter_watchers():
                watcher.respawn = self._respawns
            return
        try:
            self._loop.add_future(self._arbiter.manage_watchers(), lambda _: None)
        except ConflictError:
            self._loop.call_later(_RETRY_S, self._replace)
        else:
            self._restarts.append(now)

    def _has_lost_a_worker(self) -> bool:
        assert self._arbiter is not None
        return any(
            len(watcher.get_active_pids()) < watcher.numprocesses
            for watcher in self._arbiter.iter_watchers()
        )

    def _exit_status(self) -> None:
        if self._cannot_start:
            raise SystemExit(1)


def end_with_parent(parent: int | None) -> None:
    """End this worker and its server, in that the parent is told that no worker can start.

    Args:
        parent: The parent's process id; None or 0: there is none, and only this process ends.
    """
    if parent:
        os.kill(parent, CANNOT_START)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
