"""Followers of a job: one reader for all of a key, places for so many, nobody left waiting."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from server.drain import Stopping
from server.errors import NotFound, TooManyStreams, Unauthorized
from server.storage.followers import Followers
from server.storage.notifier import JobNotifier

FOLLOWERS = 200


class Job:
    """A job whose state is a number; 9 is its end, and -1 that it was deleted."""

    def __init__(self) -> None:
        self.state = 0
        self.reads = 0
        self.is_out = False

    def look(self) -> int:
        self.reads += 1
        if self.is_out:
            raise OSError(errno.EMFILE, "Too many open files")
        if self.state < 0:
            raise NotFound("deleted")
        return self.state


def run(test: Callable[[Followers, JobNotifier, Job], Awaitable[None]]) -> None:
    notifier = JobNotifier()
    followers = Followers(lambda: notifier, most=10, most_per_key=4)
    asyncio.run(asyncio.wait_for(test(followers, notifier, Job()), 60))  # type: ignore[arg-type]


async def states(followers: Followers, job: Job, key: str = "acme") -> list[int]:
    return [now async for now in followers.follow("job", key, job.look, lambda now: now == 9)]


def test_all_who_follow_a_job_share_its_reads() -> None:
    async def test(followers: Followers, notifier: JobNotifier, job: Job) -> None:
        tasks = [asyncio.create_task(states(followers, job)) for _ in range(FOLLOWERS)]
        other = asyncio.create_task(states(followers, job, key="other"))
        await asyncio.sleep(0.3)
        for state in (1, 2, 3, 9):
            job.state = state
            notifier.notify("job")
            await asyncio.sleep(0.01)
        told = await asyncio.gather(*tasks, other)
        assert len(told) == FOLLOWERS + 1
        for seen in told:
            assert seen[-1] == 9
            assert seen == sorted(set(seen))
        assert job.reads < 20
        assert followers.groups == 0

    run(test)


def test_all_are_told_of_a_deletion_and_of_the_servers_stop() -> None:
    async def test(followers: Followers, notifier: JobNotifier, job: Job) -> None:
        tasks = [asyncio.create_task(states(followers, job)) for _ in range(FOLLOWERS)]
        await asyncio.sleep(0.3)
        job.state = -1
        notifier.notify("job")
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [NotFound] * FOLLOWERS
        job.state = 1
        tasks = [asyncio.create_task(states(followers, job)) for _ in range(FOLLOWERS)]
        await asyncio.sleep(0.3)
        notifier.close()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [Stopping] * FOLLOWERS

    run(test)


def test_an_outage_of_storage_is_waited_out_and_ends_with_the_servers_stop() -> None:
    async def test(followers: Followers, notifier: JobNotifier, job: Job) -> None:
        job.is_out, job.state = True, 9
        waiting = asyncio.create_task(states(followers, job))
        while job.reads < 3:
            await asyncio.sleep(0.02)
        assert not waiting.done()
        job.is_out = False
        assert await waiting == [9]
        job.is_out, job.reads = True, 0
        waiting = asyncio.create_task(states(followers, job))
        while job.reads < 2:
            await asyncio.sleep(0.02)
        notifier.close()
        with pytest.raises(Stopping):
            await waiting

    run(test)


def test_a_follower_that_may_not_follow_any_more_ends_alone() -> None:
    async def test(followers: Followers, notifier: JobNotifier, job: Job) -> None:
        def check() -> None:
            raise Unauthorized("revoked")

        async def busy() -> None:
            while True:  # a follower that is told something all the time is checked too
                job.state = (job.state + 1) % 9
                notifier.notify("job")
                await asyncio.sleep(0.01)

        others = asyncio.create_task(states(followers, job))
        progress = asyncio.create_task(busy())
        ended = followers.follow("job", "acme", job.look, lambda now: now == 9, check)
        with pytest.raises(Unauthorized):
            async for _ in ended:
                pass
        assert not others.done()
        progress.cancel()
        job.state = 9
        notifier.notify("job")
        assert (await others)[-1] == 9

    run(test)


def test_a_slow_follower_gets_the_latest_state_and_holds_nobody_up() -> None:
    async def test(followers: Followers, notifier: JobNotifier, job: Job) -> None:
        slow = followers.follow("job", "acme", job.look, lambda now: now == 9)
        assert await anext(slow) == 0
        for state in (1, 2, 3):
            job.state = state
            notifier.notify("job")
            await asyncio.sleep(0.05)
        assert await anext(slow) == 3
        quick = asyncio.create_task(states(followers, job))
        await asyncio.sleep(0)
        job.state = 9
        notifier.notify("job")
        assert (await quick)[-1] == 9
        assert await anext(slow) == 9
        with pytest.raises(StopAsyncIteration):
            await anext(slow)

    run(test)


def test_the_reader_ends_with_its_last_follower() -> None:
    async def test(followers: Followers, notifier: JobNotifier, job: Job) -> None:
        for _ in range(3):
            following = followers.follow("job", "acme", job.look, lambda now: now == 9)
            assert await anext(following) == 0
            await following.aclose()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) <= 2  # the test's own
        assert followers.groups == 0

    run(test)


def test_places_are_limited_for_a_key_and_for_all() -> None:
    followers = Followers(JobNotifier, most=10, most_per_key=4)
    held = [followers.place("acme") for _ in range(4)]
    for place in held:
        place.__enter__()
    with pytest.raises(TooManyStreams, match="'acme' follows 4"), followers.place("acme"):
        pass
    names = count()
    others = [followers.place(f"key-{next(names)}") for _ in range(6)]
    for place in others:
        place.__enter__()
    with pytest.raises(TooManyStreams, match="server follows 10"), followers.place("new"):
        pass
    others[0].__exit__(None, None, None)
    with followers.place("new"):
        pass
    with pytest.raises(TooManyStreams, match="server follows 3"), followers.place("new", most=3):
        pass
