"""Devices of a server that has a process for each: their names, and which process has which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from encoders import PalimpsestError
from server.settings import Settings

ALL = "all"
FOLDER = "devices"
"""Folder of the data directory with a data directory for each process: it holds only a lock."""
_COUNT = "import torch; print(torch.cuda.device_count())"
_COUNT_TIMEOUT_S = 300


class DevicesRefused(PalimpsestError):
    """Error: the devices cannot be used together; the message says why, and what to do."""

    code = "devices_refused"


def resolved(settings: Settings) -> Settings:
    """Return the settings with the GPUs of this machine in the place of `all`.

    One device is the server's `device`, and its process like that of any other server.

    Raises:
        DevicesRefused: There is none.
    """
    names = _all_gpus() if settings.devices == (ALL,) else settings.devices
    device = names[0] if len(names) == 1 else settings.device
    return settings.model_copy(update={"devices": names, "device": device})


def _all_gpus() -> tuple[str, ...]:
    # A process of its own: torch takes seconds, and memory that this one would keep.
    done = subprocess.run(
        [sys.executable, "-c", _COUNT],
        capture_output=True,
        text=True,
        timeout=_COUNT_TIMEOUT_S,
        check=False,
    )
    count = int(done.stdout.strip() or 0) if done.returncode == 0 else 0
    if count == 0:
        raise DevicesRefused(
            "PALIMPSEST_DEVICES is all, and torch finds no GPU that it can use: name the devices, "
            "or leave it out."
        )
    return tuple(f"cuda:{number}" for number in range(count))


def check(settings: Settings) -> None:
    """Check that the processes of several devices could work together.

    Raises:
        DevicesRefused: They could not.
    """
    if len(settings.devices) > 1 and (settings.postgres is None or not settings.store):
        raise DevicesRefused(
            "Several devices need a database and a store that all their processes see: set "
            "PALIMPSEST_DATABASE to a PostgreSQL and PALIMPSEST_STORE to a bucket, or name one "
            "device."
        )


class Claim:
    """The claim of one process to one of the devices. The system ends it with the process.

    Args:
        settings: Of the server.

    Raises:
        DevicesRefused: Every device is another process's.
        OSError: The data directory cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        folder = settings.data_dir / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for number, device in enumerate(settings.devices):
            # Not the lock of the data directory, which is taken later and by another part.
            lock = FileLock(folder / f"{number}.lock", mode=0o600, fallback_to_soft=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            self._lock = lock  # for as long as this object lives
            self.settings = _of_device(settings, device, folder / str(number))
            return
        raise DevicesRefused(
            f"Every device in {folder} is used by another process: stop the other server, or set "
            "PALIMPSEST_DATA_DIR to another directory."
        )


def _of_device(settings: Settings, device: str, data_dir: Path) -> Settings:
    return settings.model_copy(update={"device": device, "data_dir": data_dir})
