"""Devices of a server that has a process for each: their names, and which process has which."""

from __future__ import annotations

import subprocess
import sys

from filelock import FileLock, Timeout

from encoders import PalimpsestError
from server.settings import Settings

ALL = "all"
FOLDER = "devices"
"""Folder of the data directory with a data directory for each process: it holds only a lock."""
_COUNT = "import torch; print(torch.cuda.device_count())"
_COUNT_TIMEOUT_S = 300
_GRACE_S = 2.0


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
    if len(settings.devices) < 2:
        return
    if settings.postgres is None or not settings.store:
        raise DevicesRefused(
            "Several devices need a database and a store that all their processes see: set "
            "PALIMPSEST_DATABASE to a PostgreSQL and PALIMPSEST_STORE to a bucket, or name one "
            "device."
        )
    for number in range(len(settings.devices)):
        try:
            # Its process may have been killed, or told to stop, a moment before.
            with _lock(settings, number).acquire(timeout=_GRACE_S):
                pass
        except Timeout:
            raise _in_use(settings) from None


class DeviceClaim:
    """The claim of one process to one of the devices. The system ends it with the process.

    Args:
        settings: Of the server.

    Raises:
        DevicesRefused: Every device is another process's.
        OSError: The data directory cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        for number, device in enumerate(settings.devices):
            lock = _lock(settings, number)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            self._lock = lock  # for as long as this object lives
            own = {"device": device, "data_dir": settings.data_dir / FOLDER / str(number)}
            self.settings = settings.model_copy(update=own)
            return
        raise _in_use(settings)


def _lock(settings: Settings, number: int) -> FileLock:
    # Not the lock of the device's data directory, which is taken later and by another part.
    folder = settings.data_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{number}.lock", mode=0o600, fallback_to_soft=False)


def _in_use(settings: Settings) -> DevicesRefused:
    return DevicesRefused(
        f"A device in {settings.data_dir / FOLDER} is used by another process: stop the other "
        "server, or set PALIMPSEST_DATA_DIR to another directory."
    )
