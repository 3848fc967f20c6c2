"""Threads beside the loop, in which owners take turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple, ParamSpec, TypeVar

from video.engine.owners import TurnsByOwner

P = ParamSpec("P")
T = TypeVar("T")


class _Work(NamedTuple):
    future: Future[Any]
    run: Callable[[], None]


class FairPool:
    """A pool of threads whose next work is of the owner that had least of their time.

    In an executor's queue, one owner's request waits for everything that another has finished
    before. Thread safe.

    Args:
        threads: number of threads.
        name: beginning of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = Lock()
        self._turns = TurnsByOwner()
        self._waiting: dict[str, deque[_Work]] = {}

    def submit(
        self, owner: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Queue work of an owner. Returns a future of its result.

        Raises:
            RuntimeError: the pool was shut down.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._pool.submit(self._run_next)
            self._waiting.setdefault(owner, deque()).append(_Work(future, run))
            self._turns.arrive(owner)
        return future

    def shutdown(self, *, wait: bool) -> None:
        """Cancel what has not begun, and end the threads; `wait` for what has begun."""
        with self._lock:
            left = [work for works in self._waiting.values() for work in works]
            self._waiting.clear()
        for work in left:
            work.future.cancel()
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _run_next(self) -> None:
        with self._lock:
            if not self._waiting:  # it was shut down
                return
            owner = self._turns.next(list(self._waiting))
            work = self._waiting[owner].popleft()
            if not self._waiting[owner]:
                del self._waiting[owner]
        began = perf_counter()
        work.run()
        with self._lock:
            self._turns.spent(owner, perf_counter() - began)
            self._turns.leave(owner)
