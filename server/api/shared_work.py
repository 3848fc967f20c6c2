"""Work of requests that takes long: few at a time, and once for all who ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from video.engine.fair_pool import FairPool

T = TypeVar("T")


class SharedWork:
    """Threads beside those of the requests, for work whose result is the same for many callers.

    Results and errors are not kept: whoever asks after the end begins the work anew. Use it from
    one event loop.

    Args:
        threads: works that are done at a time.
        name: beginning of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._pool = FairPool(threads, name)
        self._works: dict[Hashable, Future[Any]] = {}

    async def result(self, key: Hashable, owner: str, work: Callable[[], T]) -> T:
        """Return the result of `work()`, or of the work of this key that is under way or waiting.

        Args:
            key: everything that decides the result.
            owner: the caller's id; owners take turns.
            work: runs in a thread, and goes on if its callers leave.

        Raises:
            Exception: that of the work.
        """
        future: Future[T] | None = self._works.get(key)
        if future is None:
            future = self._works[key] = self._pool.submit(owner, work)
            loop = asyncio.get_running_loop()

            def forget(_: Future[T]) -> None:
                with suppress(RuntimeError):  # the loop was closed: the server has stopped
                    loop.call_soon_threadsafe(self._works.pop, key)

            future.add_done_callback(forget)
        return await asyncio.shield(asyncio.wrap_future(future))

    def shutdown(self) -> None:
        """Cancel what has not begun. Returns at once."""
        self._pool.shutdown(wait=False)
