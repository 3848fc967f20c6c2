"""Placement of videos on replicas: simulated, with the real scheduler and batch sizes of each.

A step of b videos takes as long as one of a GPU that is not full: 1 + 0.1 (b - 1) of a step of one.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import mean

from server.jobs.placement import AHEAD, GATHER_S, PATIENCE_S, VideoLoad, suited
from video.engine.batching import BatchSizes
from video.engine.scheduler import Phase, Scheduler

SLOTS, AT_ONCE, MOST, STEPS = 32, 4, 32, 20
REPLICAS = 4
SHAPES = (8, 16, 24, 32)
SEEDS = range(10, 15)


@dataclass(eq=False)
class Video:
    frames: int
    arrived: float
    remaining: float = STEPS
    low_priority: bool = False
    owner: str = ""
    phase: Phase = "step"
    ended: float = 0.0

    @property
    def shape(self) -> int:
        return self.frames


@dataclass(eq=False)
class Device:
    scheduler: Scheduler[Video] = field(
        default_factory=lambda: Scheduler[Video](sizes=BatchSizes(MOST))
    )
    busy_s: float = 0.0
    is_busy: bool = False

    def step(self) -> tuple[list[Video], float]:
        """Take a turn; return its videos and seconds."""
        batch = self.scheduler.next()
        seconds = batch[0].frames / 160 * (1 + 0.1 * (len(batch) - 1)) if batch else 0.0
        self.busy_s += seconds
        return batch, seconds


Take = Callable[[Device, Sequence[Device], list[Video], float], list[Video]]


def greedy(own: Device, every: Sequence[Device], waiting: list[Video], now: float) -> list[Video]:
    """Take the oldest, while there are slots: what a replica does that asks nobody."""
    return waiting[: min(AT_ONCE, SLOTS - len(own.scheduler))]


def placed(own: Device, every: Sequence[Device], waiting: list[Video], now: float) -> list[Video]:
    """Take what `server.jobs.dispatcher` takes."""
    most = min(AT_ONCE, SLOTS - len(own.scheduler))
    if not waiting:
        return []
    others = {video.frames for one in every if one is not own for video in one.scheduler}
    load = VideoLoad(
        Counter(video.frames for video in own.scheduler),
        frozenset(others),
        sum(len(one.scheduler) for one in every),
        len(waiting),
        now - waiting[0].arrived,
    )
    taken, left = list[Video](), list(waiting)
    for _ in range(min(most, load.room(len(every)), len(waiting))):
        video = suited(left[:AHEAD], load, most=MOST)
        load.took(video.frames)
        left.remove(video)
        taken.append(video)
    return taken


@dataclass
class Result:
    latency_s: float
    """Mean time from a video's arrival to its end."""
    device_s: float
    """Seconds of a device for each video."""
    end_s: float


def simulate(take: Take, videos: Sequence[Video], seed: int) -> Result:
    chance, devices = random.Random(seed), [Device() for _ in range(REPLICAS)]
    waiting: list[Video] = []
    events: list[tuple[float, int, Device | None, list[Video]]] = []
    for number, video in enumerate(videos):
        heapq.heappush(events, (video.arrived, number, None, [video]))
    number, now = len(videos), 0.0
    while events:
        now, _, device, batch = heapq.heappop(events)
        if device is None:
            waiting += batch
        else:
            device.is_busy = False
            for video in batch:
                video.remaining -= 1
                if video.remaining == 0:
                    device.scheduler.remove(video)
                    video.ended = now
        # Every notice wakes all, and the lock is the first one's.
        for one in chance.sample(devices, REPLICAS):
            while taken := take(one, devices, waiting, now):
                for video in taken:
                    waiting.remove(video)
                    one.scheduler.add(video)
        for one in devices:
            if not one.is_busy:
                done, seconds = one.step()
                if done:
                    one.scheduler.spent(done, seconds, stepped=True)
                    one.is_busy = True
                    number += 1
                    heapq.heappush(events, (now + seconds, number, one, done))
    assert not waiting
    return Result(
        mean(video.ended - video.arrived for video in videos),
        sum(one.busy_s for one in devices) / len(videos),
        now,
    )


def arrivals(seed: int, count: int, interval_s: float, shapes: Sequence[int]) -> list[Video]:
    chance, now, found = random.Random(seed), 0.0, list[Video]()
    for _ in range(count):
        now += chance.expovariate(1 / interval_s) if interval_s else 0.0
        found.append(Video(chance.choice(shapes), now))
    return found


def compared(count: int, interval_s: float, shapes: Sequence[int]) -> tuple[Result, Result]:
    """Return the means of a run for each seed of `greedy` and of `placed`."""
    found = [
        [simulate(take, arrivals(seed, count, interval_s, shapes), seed) for seed in SEEDS]
        for take in (greedy, placed)
    ]
    means = [
        Result(
            mean(one.latency_s for one in runs),
            mean(one.device_s for one in runs),
            mean(one.end_s for one in runs),
        )
        for runs in found
    ]
    for name, one in zip(("greedy", "placed"), means, strict=True):
        print(
            f"{count} videos every {interval_s} s of {len(shapes)} shapes, {name}: "
            f"latency {one.latency_s:.2f} s, device {one.device_s:.3f} s, end {one.end_s:.1f} s"
        )
    return means[0], means[1]


def test_idle_replicas_share_what_comes() -> None:
    alone, shared = compared(100, 1.0, SHAPES)
    assert shared.latency_s < 0.85 * alone.latency_s


def test_where_many_wait_those_of_a_shape_gather() -> None:
    alone, gathered = compared(200, 0.0, SHAPES)
    assert gathered.device_s < alone.device_s
    assert gathered.latency_s < 1.03 * alone.latency_s


def load(own: dict[int, int], others: set[int], *, oldest_s: float = 0.0) -> VideoLoad:
    return VideoLoad(Counter(own), frozenset(others), 10, 5, oldest_s)


def test_a_replica_takes_its_part_until_others_take_too_long() -> None:
    assert load({8: 2}, set()).room(3) == 3, "a third of 15, less the two that it has"
    assert load({8: 9}, set()).room(3) == 0
    assert load({8: 9}, set(), oldest_s=PATIENCE_S + 1).room(3) == 5


def test_own_shapes_are_first_then_nobody_s_and_none_before_one_that_waits_long() -> None:
    waiting = [Video(16, 0.0), Video(24, 0.0), Video(8, 0.0)]
    assert suited(waiting, load({8: 2}, {16}), most=8).frames == 8
    assert suited(waiting, load({8: 8}, {16}), most=8).frames == 24, "its batch is full"
    assert suited(waiting[:1], load({}, {16}), most=8).frames == 16
    assert suited(waiting, load({8: 2}, {16}, oldest_s=GATHER_S + 1), most=8).frames == 16
