"""Lock of a data directory: a second server would take up the first one's jobs."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from encoders import PalimpsestError

LOCK_TIMEOUT_S = 10.0
"""Time that the previous server gets to end: often it was stopped a moment before."""


class DataInUse(PalimpsestError):
    """Error: another process serves from this data directory."""

    code = "data_in_use"


class DataLock:
    """Lock of a data directory from `take` to `release`.

    The system releases it too when the process ends, even if it is killed. The lock file holds the
    process id of the holder, for the error message of the next server.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "server.lock"
        # Not thread-local: the server starts and stops on different threads. Not the soft lock of
        # file systems without flock either: after a kill it would stay locked.
        self._lock = FileLock(
            self._path, mode=0o600, thread_local=False, fallback_to_soft=False, poll_interval=0.1
        )

    def take(self, timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Lock the directory, and wait for another holder for at most `timeout_s` seconds.

        Raises:
            DataInUse: Another server still holds it.
        """
        try:
            self._lock.acquire(timeout=timeout_s)
        except Timeout:
            holder = self._path.read_text(errors="replace").strip() or "unknown"
            raise DataInUse(
                f"{self._path.parent} is in use by another server (process {holder}): ask "
                "that one, stop it, or set PALIMPSEST_DATA_DIR to another directory."
            ) from None
        self._path.write_text(str(os.getpid()))

    def release(self) -> None:
        """Unlock the directory. Does nothing if it is not locked."""
        self._lock.release()
