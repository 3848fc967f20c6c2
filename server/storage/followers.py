"""Followers of jobs: all who follow one job as the same key share one reader.

Every write of a job's progress would otherwise cost a read of the database for each follower.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from server.drain import Stopping
from server.errors import TooManyStreams
from server.outage import brief, is_outage
from server.storage.notifier import JobNotifier

log = logging.getLogger(__name__)
State = TypeVar("State")

_PAUSE_S = 0.004
"""Least time between two reads, for each follower: many get fewer of the states in between."""
_MOST_PAUSE_S = 2.0
_OUTAGE_PAUSE_S = 0.1
"""Time before the next look while storage is out; doubled up to `_MOST_PAUSE_S`."""
CHECK_S = 2.0
"""Longest time between two checks that a follower may still follow."""
_TOLD_AT_ONCE = 8
_BREATH_S = 0.01
"""Followers told in one go, and the time that other requests have before the next ones are."""


class Followers:
    """The requests of one server that follow jobs.

    Args:
        notifier: returns what wakes on every change of a job's row.
        most: requests that follow a job at a time.
        most_per_key: those of one key.
    """

    def __init__(
        self, notifier: Callable[[], JobNotifier], *, most: int, most_per_key: int
    ) -> None:
        self._notifier = notifier
        self._most = most
        self._most_per_key = most_per_key
        self._places: Counter[str] = Counter()
        self._groups: dict[tuple[str, str], _Group[Any]] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="follow")

    @property
    def groups(self) -> int:
        """Number of readers: one for each job and key."""
        return len(self._groups)

    @contextmanager
    def place(self, key: str, *, most: int | None = None) -> Generator[None]:
        """Hold a place for a request that follows a job.

        Args:
            key: id of the caller's key.
            most: places of all keys, if fewer than the settings allow.

        Raises:
            TooManyStreams: the key, or the server, has as many as it may.
        """
        most = self._most if most is None else min(most, self._most)
        if self._places[key] >= self._most_per_key:
            raise TooManyStreams(
                f"Key {key!r} follows {self._most_per_key} jobs at a time already, as many as it "
                "may. Close one, or ask for the job's status instead."
            )
        if self._places.total() >= most:
            raise TooManyStreams(
                f"The server follows {most} jobs at a time already, as many as it can. Ask for the "
                "job's status instead."
            )
        self._places[key] += 1
        try:
            yield
        finally:
            self._places[key] -= 1
            if not self._places[key]:
                del self._places[key]

    async def follow(
        self,
        job_id: str,
        key: str,
        look: Callable[[], State],
        has_ended: Callable[[State], bool],
        check: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[State]:
        """Yield the job's state now, and again after changes; a slow follower gets the latest.

        An outage of storage is waited out: it says nothing about the job.

        Args:
            job_id: the row's id.
            key: id of the caller's key: what it may see is the same for all its requests.
            look: returns the state; may block briefly. One follower's is used for all.
            has_ended: tells if a state is the last one.
            check: raises an error once this follower may not follow any more, which ends it within
                `CHECK_S`. It must not block.

        Raises:
            Stopping: the server stops before the job has ended.
            Exception: what `look` raised, for every follower, if it is no outage.
        """
        name = (job_id, key)
        group = self._groups.get(name)
        if group is None or group.over:
            group = self._groups[name] = _Group(look, has_ended)
            group.reader = asyncio.create_task(self._read(job_id, group))
        follower = _Follower(check)
        group.followers[follower] = None
        last: State | None = None
        try:
            while True:
                if not group.known:
                    await follower.wait()
                follower.told.clear()
                if group.error is not None:
                    raise group.error
                now: State = group.state
                if now != last:
                    last = now
                    yield now
                if group.over and group.state is now:
                    return
                await follower.wait()
        finally:
            del group.followers[follower]
            if not group.followers:
                if self._groups.get(name) is group:
                    del self._groups[name]
                if group.reader is not None:
                    group.reader.cancel()

    async def _read(self, job_id: str, group: _Group[Any]) -> None:
        loop = asyncio.get_running_loop()
        notifier = self._notifier()
        outage_pause = _OUTAGE_PAUSE_S
        with notifier.listening(job_id) as changed:
            while not group.over:
                changed.clear()
                closed = notifier.closed
                try:
                    look = partial(copy_context().run, group.look)  # as the request that began it
                    group.state = await loop.run_in_executor(self._pool, look)
                    group.known = True
                    group.over = group.has_ended(group.state)
                    if closed and not group.over:
                        raise Stopping
                    outage_pause = _OUTAGE_PAUSE_S
                except Exception as error:
                    if is_outage(error) and not closed:
                        if outage_pause == _OUTAGE_PAUSE_S:
                            log.warning("following %s waits for storage: %s", job_id, brief(error))
                        with suppress(TimeoutError):
                            await asyncio.wait_for(changed.wait(), outage_pause)
                        outage_pause = min(2 * outage_pause, _MOST_PAUSE_S)
                        continue
                    group.error = Stopping() if is_outage(error) else error
                    group.over = group.known = True
                await group.tell()
                if not group.over:
                    await changed.wait()
                    await asyncio.sleep(min(_MOST_PAUSE_S, _PAUSE_S * len(group.followers)))


class _Follower:
    """One of those who follow a job."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.told = asyncio.Event()
        self._check = check
        self._clock = asyncio.get_running_loop().time
        self._check_at = self._clock() + CHECK_S

    async def wait(self) -> None:
        """Wait until the follower is told something. Raise the error of its check, when due."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._check_at):
                    await self.told.wait()
            if self._clock() >= self._check_at:
                self._check_at = self._clock() + CHECK_S
                self._check()
            if self.told.is_set():
                return


class _Group(Generic[State]):
    """Those who follow one job as one key."""

    def __init__(self, look: Callable[[], State], has_ended: Callable[[State], bool]) -> None:
        self.look = look
        self.has_ended = has_ended
        self.followers: dict[_Follower, None] = {}
        self.reader: asyncio.Task[None] | None = None
        self.state: Any = None
        self.known = False
        """True once there is a state or an error."""
        self.error: Exception | None = None
        self.over = False
        """True if nothing follows what is known."""

    async def tell(self) -> None:
        """Wake the followers, a few at a time."""
        for number, follower in enumerate(list(self.followers), start=1):
            follower.told.set()
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(_BREATH_S)
