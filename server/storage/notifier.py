"""Notifier: wakes the requests that wait for a job's row to change."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock


class JobNotifier:
    """Events by job id. Waiters listen on event loops; `notify` may be called on any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiters: defaultdict[str, dict[asyncio.Event, asyncio.AbstractEventLoop]]
        self._waiters = defaultdict(dict)
        self.closed = False
        """True once the server stops: no job's row will change any more."""

    @contextmanager
    def listening(self, job_id: str) -> Generator[asyncio.Event]:
        """Yield an event of the running loop that is set whenever the job's row has changed."""
        event = asyncio.Event()
        with self._lock:
            self._waiters[job_id][event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                del self._waiters[job_id][event]
                if not self._waiters[job_id]:
                    del self._waiters[job_id]

    def close(self) -> None:
        """Wake every waiter, because the server stops."""
        with self._lock:
            self.closed = True
            self._wake_all()

    def notify(self, job_id: str | None) -> None:
        """Wake the waiters of a job whose row was changed or deleted; with None those of all."""
        with self._lock:
            if job_id is None:
                self._wake_all()
                return
            for event, loop in self._waiters.get(job_id, {}).items():
                loop.call_soon_threadsafe(event.set)

    def _wake_all(self) -> None:
        for waiters in self._waiters.values():
            for event, loop in waiters.items():
                loop.call_soon_threadsafe(event.set)
