"""Videos that were waited for, and whose caller is gone: they are removed in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

from server.jobs.storage_wait import ServerStopping, StorageWait
from server.storage.records import VideoRecord

log = logging.getLogger(__name__)


class AbandonedVideos:
    """The abandoned videos of one server. One thread removes them, one after the other.

    Args:
        storage: Repeats a removal while storage is out.
        remove: Deletes a video, its work and its files.
    """

    def __init__(self, storage: StorageWait, remove: Callable[[VideoRecord], None]) -> None:
        self._storage = storage
        self._remove = remove
        self._waiting: SimpleQueue[VideoRecord | None] = SimpleQueue()
        self._ended = Event()
        self._thread = Thread(target=self._work, name="palimpsest-abandoned", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, record: VideoRecord) -> None:
        """Have a video removed soon. Returns at once, on any thread."""
        self._waiting.put(record)

    def stop(self, timeout: float) -> None:
        """Remove what waits, for up to `timeout` seconds. What is left is made by the next start.

        `stopping` of the `StorageWait` must be set.
        """
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout)
        self._ended.set()

    def _work(self) -> None:
        while (record := self._waiting.get()) is not None and not self._ended.is_set():
            video = record
            try:
                self._storage.run(f"removing {video.id}", lambda video=video: self._remove(video))
            except ServerStopping:
                log.warning("the server stops: nobody waits for %s, but it stays", video.id)
                return
            except Exception:  # the next one may be removed
                log.exception("nobody waits for %s, but it could not be removed", video.id)
