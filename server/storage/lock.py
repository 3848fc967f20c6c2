"""Lock of a data directory: a second server would take up the first one's jobs."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any, Self

from filelock import FileLock, Timeout

from encoders import PalimpsestError
from server.parent_watchdog import announced_parent, announced_url
from server.storage.owned_names import check_own

LOCK_TIMEOUT_S = 10.0
"""Time that a server which is stopping gets to end."""
GRACE_S = 2.0
"""Time that any other holder gets: it may have been killed or told to stop a moment before."""
_POLL_S = 0.1
_FILE_BYTES = 512
"""Least size of the lock file. Each content replaces the one before as a whole."""


class DataInUse(PalimpsestError):
    """Error: another process serves from this data directory."""

    code = "data_in_use"


@dataclass(frozen=True)
class Holder:
    """The server that holds a data directory, as it says in the lock file."""

    pid: int | None = None
    """The process to stop: BentoML's parent, if there is one."""
    url: str | None = None
    """The server's address."""
    replica: str = ""
    """Id of its replica in the database. A server that takes the lock is rid of that one."""
    stopping: bool = False
    """True once the server was told to stop."""

    @classmethod
    def here(cls) -> Self:
        """Return the server of this worker, as a new replica."""
        return cls(announced_parent() or os.getpid(), announced_url(), uuid.uuid4().hex)

    def __str__(self) -> str:
        """Return words for an error message."""
        at = f"the server at {self.url}" if self.url else "another server"
        return f"{at} (process {self.pid or 'unknown'})"


class DataLock:
    """Lock of a data directory from `take` to `release`.

    The system releases it too when the process ends, even if it is killed. The lock file says who
    holds it, for the error message of the next server.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._path = data_dir / "server.lock"
        # Not thread-local: the server starts and stops on different threads. Not the soft lock of
        # file systems without flock either: after a kill it would stay locked.
        self._lock = FileLock(self._path, mode=0o600, thread_local=False, fallback_to_soft=False)
        self._said = Lock()  # the server is told to stop on another thread than it starts on
        self._holder: Holder | None = None
        self._is_stopping = False
        self.before = ""
        """Replica of the server that held the lock before, and so is dead; or ""."""

    def take(
        self,
        holder: Holder | None = None,
        *,
        timeout_s: float = LOCK_TIMEOUT_S,
        on_wait: Callable[[Holder], None] | None = None,
        cancelled: Event | None = None,
    ) -> None:
        """Lock the directory, and wait for another holder to end.

        Args:
            holder: What the lock file says from now on; None: this process, without an address.
            timeout_s: Limit of the wait for a holder that is stopping. For any other it is 2
                seconds at most.
            on_wait: Called once if a holder that is stopping is waited for.
            cancelled: Ends the wait as if the time were over.

        Raises:
            ForeignDirectory: The directory is no server's.
            DataInUse: Another server still holds it.
            OSError: The lock file cannot be written, or its file system has no locks.
        """
        self._wait(timeout_s, on_wait, cancelled)
        with self._said:
            self.before = self.holder().replica
            # A command that has no replica hands the name on.
            self._holder = holder or Holder(os.getpid(), replica=self.before)
            self._write()

    def probe(self, on_wait: Callable[[Holder], None] | None = None) -> None:
        """Check that the lock can be taken; wait and raise as `take` does."""
        self._wait(LOCK_TIMEOUT_S, on_wait, None)
        self.release()

    def mark_stopping(self) -> None:
        """Tell the next server that this one is about to end, now or once it has the lock."""
        with self._said:
            self._is_stopping = True
            self._write()

    def holder(self) -> Holder:
        """Return what the lock file says. It may be out of date, unless the lock is held."""
        try:
            said: Any = json.loads(self._path.read_text(errors="replace"))
        except (OSError, ValueError):
            return Holder()
        if isinstance(said, int):  # as earlier versions wrote it
            return Holder(said)
        fields: dict[str, Any] = said if isinstance(said, dict) else {}
        return Holder(
            fields.get("pid"),
            fields.get("url"),
            fields.get("replica", ""),
            bool(fields.get("stopping")),
        )

    def release(self) -> None:
        """Unlock the directory. Does nothing if it is not locked."""
        with self._said:
            self._holder = None
        self._lock.release()

    def _wait(
        self,
        timeout_s: float,
        on_wait: Callable[[Holder], None] | None,
        cancelled: Event | None,
    ) -> None:
        check_own(self._data_dir)  # the lock file would make it look like a server's
        began = time.monotonic()
        told = is_stopping = False
        while not self._try():
            other = self.holder()
            is_stopping |= other.stopping
            limit = timeout_s if is_stopping else min(timeout_s, GRACE_S)
            if time.monotonic() - began >= limit or (cancelled is not None and cancelled.is_set()):
                ask = f"use it (--server {other.url})" if other.url else "use that one"
                raise DataInUse(
                    f"{self._data_dir} is in use by {other}: {ask}, stop it, or set "
                    "PALIMPSEST_DATA_DIR to another directory."
                )
            if other.stopping and not told and on_wait is not None:
                told = True
                on_wait(other)
            time.sleep(_POLL_S)

    def _try(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def _write(self) -> None:
        if self._holder is None:  # the file belongs to another server
            return
        holder = replace(self._holder, stopping=self._is_stopping)
        content = json.dumps(asdict(holder)).ljust(_FILE_BYTES)
        try:
            # One write in place: a server that reads it meanwhile must not find it empty.
            with self._path.open("r+b", buffering=0) as file:
                file.write(content.encode())
                file.truncate()
        except OSError:  # a full disk: the directory is locked all the same
            return
