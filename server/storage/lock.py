"""One server for one data directory: a second would take up the first one's jobs."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from encoders import PalimpsestError

PATIENCE_SECONDS = 10.0
"""How long the last server may take to end: it is often stopped just before the next is started."""


class DataInUse(PalimpsestError):
    """Another process serves from this data directory."""

    code = "data_in_use"


class DataLock:
    """Holds a data directory from `take` to `release`, or to the end of the process, however it
    ends.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "server.lock"
        self._file: int | None = None

    def take(self, patience: float = PATIENCE_SECONDS) -> None:
        """Waits for it, so many seconds at most. Raises DataInUse."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    holder = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
                    os.close(file)
                    raise DataInUse(
                        f"{self._path.parent} is in use by another server (process {holder}): ask "
                        "that one, stop it, or set PALIMPSEST_DATA_DIR to another directory."
                    ) from None
                time.sleep(0.1)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Lets another have it. Nothing if it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
