"""Writes of requests: their threads are their own, so that no read waits for the database's lock.

A writer waits for the lock for seconds. If writers could fill the threads of all requests, a locked
database would stop everything that is only read.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import anyio
import anyio.to_thread

from server.errors import StorageUnavailable

T = TypeVar("T")

AT_ONCE, AT_ONCE_OF_KEY = 8, 4
"""Writes that have a thread, in all and of one key. SQLite has one writer at a time."""
WAITING, WAITING_OF_KEY = 512, 256
"""Writes under way or waiting for a thread, in all and of one key. More are refused."""
_LONGEST_WAIT_S = 10.0
"""Time that a write waits for a thread. Then something holds up all that have one."""


class Writes:
    """The writes of requests, in one process.

    Args:
        is_locked: True while the database is known to be locked. Then one write at a time finds out
            if it still is, and the others are refused at once.
    """

    def __init__(self, is_locked: Callable[[], bool]) -> None:
        self._is_locked = is_locked
        self._keys = defaultdict[str, _WritesOfKey](_WritesOfKey)
        self._threads = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._running = 0

    async def run(self, key: str, action: Callable[[], T]) -> T:
        """Return the result of `action()`, which is called on a thread.

        Args:
            key: id of the caller's key.
            action: what writes to the database.

        Raises:
            StorageUnavailable: the database is locked, or too many writes wait. `action` was not
                called.
        """
        self._check_lock()
        of_key = self._keys[key]
        if self._waiting >= WAITING or of_key.waiting >= WAITING_OF_KEY:
            raise StorageUnavailable
        self._waiting += 1
        of_key.waiting += 1
        try:
            return await self._run(of_key, action)
        finally:
            self._waiting -= 1
            of_key.waiting -= 1
            if not of_key.waiting:
                del self._keys[key]

    async def _run(self, of_key: _WritesOfKey, action: Callable[[], T]) -> T:
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(_LONGEST_WAIT_S):
                    await held.enter_async_context(of_key.threads)
                    await held.enter_async_context(self._threads)
            except TimeoutError:
                raise StorageUnavailable from None
            self._check_lock()
            self._running += 1
            try:
                # The semaphores limit the threads: the limiter only keeps out of the one for reads.
                return await anyio.to_thread.run_sync(action, limiter=anyio.CapacityLimiter(1))
            finally:
                self._running -= 1

    def _check_lock(self) -> None:
        if self._running and self._is_locked():
            raise StorageUnavailable


class _WritesOfKey:
    """The writes of one key that are under way or waiting."""

    def __init__(self) -> None:
        self.threads = asyncio.Semaphore(AT_ONCE_OF_KEY)
        self.waiting = 0
