"""The turn of the writers of one process: one after the other, and none waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock

BUSY_TIMEOUT_S = 5
"""Time that a transaction waits for another process to release the database's lock, and for the
other threads of this one. Then it is an outage: requests are refused, jobs wait and try again."""


class DatabaseBusy(TimeoutError):
    """The database was locked for longer than a transaction waits."""


class WritersTurn:
    """A lock of the process's own, beside the database's.

    It wakes the next writer at once, and one that waits for it holds no connection that a reader
    could use.

    Args:
        is_busy: Tells if an error means that another process holds the database's lock.
    """

    def __init__(self, is_busy: Callable[[Exception], bool]) -> None:
        self._is_busy = is_busy
        self._lock = Lock()
        self.is_locked = False
        """True once a writer did not get the lock in time, until one gets it."""

    @contextmanager
    def taken(self) -> Generator[None]:
        """Hold the turn inside the block, which writes to the database.

        Raises:
            DatabaseBusy: Other writers had their turns for longer than `BUSY_TIMEOUT_S`.
        """
        if not self._lock.acquire(timeout=BUSY_TIMEOUT_S):
            self.is_locked = True
            raise DatabaseBusy(f"the database was busy for {BUSY_TIMEOUT_S} s")
        try:
            yield
            self.is_locked = False
        except Exception as error:
            self.is_locked = self.is_locked or self._is_busy(error)
            raise
        finally:
            self._lock.release()
