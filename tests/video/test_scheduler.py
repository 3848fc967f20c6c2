"""Whose turn it is, without a tensor in sight."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from video.scheduler import Scheduler


@dataclass(eq=False)
class Job:
    name: str
    remaining: float = 10
    low_priority: bool = False
    cost: float = 1.0


def run(scheduler: Scheduler[Job], turns: int | None = None) -> list[str]:
    """Lets the scheduler's jobs run, for so many turns or until all are done."""
    order: list[str] = []
    while (turns is None or len(order) < turns) and (job := scheduler.next()):
        order.append(job.name)
        scheduler.spent(job, job.cost)
        job.remaining -= 1
        if job.remaining <= 0:
            scheduler.remove(job)
    return order


def of(*jobs: Job, **options: float) -> Scheduler[Job]:
    scheduler: Scheduler[Job] = Scheduler(**options)  # type: ignore[arg-type]
    for job in jobs:
        scheduler.add(job)
    return scheduler


def test_nobody_is_next_when_there_is_no_work() -> None:
    assert of().next() is None


def test_equal_work_finishes_one_after_the_other_in_order_of_arrival() -> None:
    order = run(of(Job("a", 3), Job("b", 3)))
    assert order == ["a", "a", "a", "b", "b", "b"]


def test_short_work_overtakes_long_work() -> None:
    scheduler = of(Job("long", 20))
    run(scheduler, 5)
    scheduler.add(Job("short", 3))
    order = run(scheduler)
    assert order.index("short") <= 1
    assert "short" not in order[5:]


def test_long_work_moves_on_however_much_short_work_arrives() -> None:
    scheduler = of(Job("long", 10))
    turns: Counter[str] = Counter()
    for _ in range(40):
        scheduler.add(Job("short", 1))
        turns.update(run(scheduler, 1))
    assert turns["long"] == 10


def test_low_priority_work_gets_its_share_of_the_time_not_of_the_turns() -> None:
    normal, low = Job("normal", 10**6), Job("low", 10**6, low_priority=True, cost=5.0)
    turns = Counter(run(of(normal, low, low_share=0.2), 2000))
    seconds = turns["low"] * 5.0
    assert seconds / (seconds + turns["normal"]) == pytest.approx(0.2, abs=0.01)


def test_low_priority_work_alone_gets_everything() -> None:
    assert run(of(Job("low", 4, low_priority=True))) == ["low"] * 4


def test_no_share_means_only_spare_moments() -> None:
    order = run(of(Job("low", 2, low_priority=True), Job("normal", 3), low_share=0))
    assert order == ["normal"] * 3 + ["low"] * 2


def test_neither_class_saves_up_time_while_the_other_is_away() -> None:
    scheduler = of(Job("normal", 1000), low_share=0.5)
    run(scheduler, 500)
    scheduler.add(Job("low", 1000, low_priority=True))
    turns = Counter(run(scheduler, 20))
    assert 9 <= turns["low"] <= 11
    alone = of(Job("low", 1000, low_priority=True), low_share=0.5)
    run(alone, 500)
    alone.add(Job("normal", 1000))
    assert 9 <= Counter(run(alone, 20))["low"] <= 11


def test_a_normal_request_never_waits_for_more_than_one_low_turn() -> None:
    jobs = [Job(f"low{i}", 50, low_priority=True) for i in range(5)]
    scheduler = of(*jobs, low_share=0.2)
    run(scheduler, 30)
    scheduler.add(Job("normal", 5))
    order = run(scheduler, 7)
    assert order[0] == "normal"
    assert order.count("normal") == 5


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="low_share"):
        Scheduler(low_share=1.0)
    with pytest.raises(ValueError, match="oldest_every"):
        Scheduler(oldest_every=0)
