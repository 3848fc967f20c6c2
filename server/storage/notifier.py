"""Who waits for a job's row to change: told by whoever writes it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock


class JobNotifier:
    """They listen on event loops; `tell` may be called on any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._of: defaultdict[str, dict[asyncio.Event, asyncio.AbstractEventLoop]]
        self._of = defaultdict(dict)

    @contextmanager
    def listening(self, job_id: str) -> Generator[asyncio.Event]:
        """An event that is set whenever the job has changed; for the running loop."""
        event = asyncio.Event()
        with self._lock:
            self._of[job_id][event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                del self._of[job_id][event]
                if not self._of[job_id]:
                    del self._of[job_id]

    def tell(self, job_id: str) -> None:
        """The job has changed, or is gone."""
        with self._lock:
            for event, loop in self._of.get(job_id, {}).items():
                loop.call_soon_threadsafe(event.set)
