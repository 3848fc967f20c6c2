"""Encoders that were deleted, by whatever server: this one drops them from its device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

from server.loaded import Loaded
from server.outage import brief, is_outage

log = logging.getLogger(__name__)


class DeletedEncoders:
    """The thread that drops deleted encoders. It asks the store, which may take a while.

    No request depends on it: each looks in the store whether its encoder is there.

    Args:
        loaded: Returns the models, or None if they are not ready.
        stopping: Set when the server stops.
    """

    def __init__(self, loaded: Callable[[], Loaded | None], stopping: Event) -> None:
        self._loaded = loaded
        self._stopping = stopping
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="palimpsest-deleted", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, encoder_id: str | None) -> None:
        """Have an encoder dropped if it was deleted; None: any. Returns at once, on any thread."""
        self._waiting.put(encoder_id)

    def stop(self, timeout: float) -> None:
        """End the thread. `stopping` must be set."""
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        while not self._stopping.is_set():
            encoder_id = self._waiting.get()
            loaded = self._loaded()
            if loaded is None or self._stopping.is_set():
                continue
            try:
                loaded.residency.drop_deleted(encoder_id)
            except Exception as error:
                if not is_outage(error):
                    log.exception("deleted encoders could not be dropped")
                else:
                    log.warning("deleted encoders stay on the device: %s", brief(error))
