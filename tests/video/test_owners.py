"""Owners: the device's time is shared fairly between them, whatever each has sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.test_scheduler import Job, of, run
from video.engine.owners import MOST_DEBT_S, TurnsByOwner
from video.engine.scheduler import Scheduler


def test_one_task_of_another_owner_has_every_second_turn_beside_a_thousand() -> None:
    crowd = [Job("many", 20, owner="greedy") for _ in range(1000)]
    order = run(of(*crowd, Job("one", 20, owner="modest")), 40)
    assert Counter(order) == {"many": 20, "one": 20}


def test_an_owner_that_arrives_late_does_not_wait_for_what_is_there() -> None:
    scheduler = of(*[Job("many", 20, owner="greedy") for _ in range(100)])
    run(scheduler, 500)
    scheduler.add(Job("one", 5, owner="modest"))
    assert run(scheduler, 10).count("one") == 5


def test_time_is_shared_not_turns() -> None:
    slow, quick = Job("slow", 10**6, cost=4.0, owner="a"), Job("quick", 10**6, owner="b")
    turns = Counter(run(of(slow, quick), 1000))
    assert turns["quick"] / turns["slow"] == pytest.approx(4.0, rel=0.05)


def test_a_large_batch_does_not_hold_the_loop() -> None:
    crowd = [Job("many", 1000, shape=1, owner="greedy") for _ in range(32)]
    scheduler = of(*crowd, Job("one", 1000, shape=2, owner="modest"), at_most=32)
    seconds: defaultdict[str, float] = defaultdict(float)
    for _ in range(300):
        batch = scheduler.next()
        cost = 0.1 * len(batch)
        seconds[batch[0].name] += cost
        scheduler.spent(batch, cost, stepped=True)
    assert seconds["one"] / sum(seconds.values()) == pytest.approx(0.5, abs=0.1)


def test_who_shares_a_batch_is_in_it_before_the_owner_of_many() -> None:
    crowd = [Job("many", 1, owner="greedy") for _ in range(64)]
    scheduler = of(*crowd, Job("one", 50, owner="modest"), at_most=8)
    names = [job.name for _ in range(10) for job in _turn(scheduler)]
    assert names.count("one") == 10, "it is the longest of all, and in every batch"


@pytest.mark.parametrize(
    "seconds",
    [
        lambda n: 0.9 * n + 0.1,  # a CPU
        lambda n: 1.0,  # a GPU that is not full
        lambda n: 0.75 + 0.25 * n,
    ],
)
def test_a_batch_delays_its_smallest_owner_by_no_more_than_turns_would(
    seconds: Callable[[int], float],
) -> None:
    scheduler = of(*[Job("many", 10**6, owner="greedy") for _ in range(64)], at_most=8)
    sizes = scheduler._sizes  # pyright: ignore[reportPrivateUsage]
    for count in (1, 2, 4, 8):
        sizes.record(0, count, seconds(count))
    scheduler.add(Job("one", 10**6, owner="modest"))
    time, steps, others = 0.0, 0, 0
    while steps < 100:
        batch = scheduler.next()
        time += seconds(len(batch))
        scheduler.spent(batch, seconds(len(batch)), stepped=True)
        own = sum(job.name == "one" for job in batch)
        steps, others = steps + own, others + len(batch) - own
    assert time <= 2 * 100 * seconds(1) + seconds(8)
    if seconds(8) == seconds(1):
        assert others >= 690, "a batch that costs nothing more is full"


def test_going_away_and_coming_back_gains_nothing() -> None:
    scheduler = of(Job("steady", 10**6, owner="a"))
    turns: Counter[str] = Counter()
    coming: Job | None = None
    for _ in range(400):
        if coming is None or coming.remaining <= 0:
            coming = Job("coming", 1, cost=10.0, owner="b")
            scheduler.add(coming)
        turns.update(run(scheduler, 1))
    assert turns["coming"] * 10.0 == pytest.approx(turns["steady"], rel=0.1)


def test_time_that_nobody_else_wanted_is_no_debt() -> None:
    scheduler = of(Job("both", 5, owner="a"), Job("both", 5, owner="b"))
    run(scheduler)
    scheduler.add(Job("alone", 3600, owner="a"))
    run(scheduler)
    scheduler.add(Job("b", 10**6, owner="b"))
    scheduler.add(Job("a", 10**6, owner="a"))
    assert run(scheduler, 20).count("a") == 10


def test_a_task_that_cannot_run_saves_up_no_time() -> None:
    waiting = Job("waiting", 10**6, owner="a", phase="waiting")
    scheduler = of(waiting, Job("able", 10**6, owner="b"))
    run(scheduler, 3600)
    waiting.phase = "step"
    assert run(scheduler, 20).count("able") == 10


SETS = st.sets(st.sampled_from("abc"))
PERIODS = st.tuples(SETS, SETS, st.booleans(), st.sampled_from([1, 2, 400]))
"""Owners with tasks, those of them that wait, if the others are guests of each turn, and turns."""


@given(st.lists(PERIODS, max_size=6), st.sampled_from([0.0, 2.0]))
def test_a_wait_is_bounded_whatever_happened_before(
    periods: list[tuple[set[str], set[str], bool, int]], slice_s: float
) -> None:
    owners, present = TurnsByOwner(slice_s), set[str]()
    for having, waiting, as_guests, count in [*periods, (set("abc"), set[str](), False, 0)]:
        for owner in sorted(present - having):
            owners.leave(owner)
        for owner in sorted(having - present):
            owners.arrive(owner)
        present = having
        able = sorted(having - waiting)
        for _ in range(count if able else 0):
            first = owners.next(able)
            for owner in able if as_guests else [first]:
                owners.spent(owner, 1.0 if owner == first else 3.0)
    first_turns = dict[str, int]()
    for turn in range(200):
        first = owners.next(list("abc"))
        first_turns.setdefault(first, turn)
        owners.spent(first, 1.0)
    assert len(first_turns) == 3
    assert max(first_turns.values()) <= 2 * (MOST_DEBT_S + slice_s + 2)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_owners_with_work_have_equal_time(counts: list[int]) -> None:
    jobs = [
        Job(str(owner), 10**6, owner=str(owner)) for owner, n in enumerate(counts) for _ in range(n)
    ]
    turns = Counter(run(of(*jobs), 60 * len(counts)))
    assert len(turns) == len(counts)
    assert max(turns.values()) - min(turns.values()) <= 1


def _turn(scheduler: Scheduler[Job]) -> list[Job]:
    batch = scheduler.next()
    scheduler.spent(batch, 1.0, stepped=True)
    return batch
