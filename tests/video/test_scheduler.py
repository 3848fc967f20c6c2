"""Scheduler: the order of turns, without any tensor."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from tests.video.help import AtMost
from video.engine.scheduler import WINDOW, Phase, Scheduler


@dataclass(eq=False)
class Job:
    name: str
    remaining: float = 10
    low_priority: bool = False
    cost: float = 1.0
    phase: Phase = "step"
    shape: int = 0
    owner: str = ""


def run(scheduler: Scheduler[Job], turns: int | None = None) -> list[str]:
    """Run the scheduler's jobs for a number of turns, or until all are done."""
    order: list[str] = []
    while (turns is None or len(order) < turns) and (batch := scheduler.next()):
        [job] = batch
        order.append(job.name)
        scheduler.spent(batch, job.cost, stepped=job.phase == "step")
        job.remaining -= 1
        if job.remaining <= 0:
            scheduler.remove(job)
    return order


def of(*jobs: Job, at_most: int = 1, **options: float) -> Scheduler[Job]:
    scheduler: Scheduler[Job] = Scheduler(sizes=AtMost(at_most), **options)  # type: ignore[arg-type]
    for job in jobs:
        scheduler.add(job)
    return scheduler


def test_none_is_next_when_there_is_no_work() -> None:
    assert of().next() == []


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
    turns = Counter(run(of(normal, low, low_priority_share=0.2), 2000))
    seconds = turns["low"] * 5.0
    assert seconds / (seconds + turns["normal"]) == pytest.approx(0.2, abs=0.01)


def test_low_priority_work_alone_gets_everything() -> None:
    assert run(of(Job("low", 4, low_priority=True))) == ["low"] * 4


def test_no_share_means_only_spare_moments() -> None:
    order = run(of(Job("low", 2, low_priority=True), Job("normal", 3), low_priority_share=0))
    assert order == ["normal"] * 3 + ["low"] * 2


def test_low_priority_work_saves_up_no_time_while_it_is_away() -> None:
    scheduler = of(Job("normal", 1000), low_priority_share=0.5)
    run(scheduler, 500)
    scheduler.add(Job("low", 1000, low_priority=True))
    turns = Counter(run(scheduler, 20))
    assert 9 <= turns["low"] <= 11


def test_spare_moments_count_towards_the_share() -> None:
    scheduler = of(Job("low", 10**6, low_priority=True), low_priority_share=0.2)
    for _ in range(50):  # the device is busy with normal work for half of the time
        run(scheduler, 5)
        scheduler.add(Job("normal", 5))
        assert run(scheduler, 5) == ["normal"] * 5


def test_spare_moments_long_ago_do_not_count() -> None:
    scheduler = of(Job("low", 10**6, low_priority=True), low_priority_share=0.2)
    run(scheduler, 5000)
    scheduler.add(Job("normal", 10**6))
    assert set(run(scheduler, int(0.7 * WINDOW))) == {"normal"}
    run(scheduler, int(0.3 * WINDOW))
    assert Counter(run(scheduler, 100))["low"] == 20


def test_a_normal_request_never_waits_for_more_than_one_low_turn() -> None:
    jobs = [Job(f"low{i}", 50, low_priority=True) for i in range(5)]
    scheduler = of(*jobs, low_priority_share=0.2)
    run(scheduler, 30)
    scheduler.add(Job("normal", 5))
    order = run(scheduler, 7)
    assert order[0] == "normal"
    assert order.count("normal") == 5


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="low_priority_share"):
        Scheduler(low_priority_share=1.0)
    with pytest.raises(ValueError, match="oldest_every"):
        Scheduler(oldest_every=0)


def names(scheduler: Scheduler[Job]) -> list[str]:
    return [job.name for job in scheduler.next()]


def test_work_of_one_shape_is_stepped_together_as_far_as_is_worth_it() -> None:
    jobs = [Job(f"short {i}", 5) for i in range(3)]
    others = [Job("other shape", 9, shape=1), Job("low", 5, low_priority=True)]
    assert names(of(*others, *jobs, at_most=8)) == ["short 0", "short 1", "short 2"]
    assert names(of(*others, *jobs, at_most=2)) == ["short 0", "short 1"]
    assert names(of(*others, *jobs, at_most=1)) == ["short 0"]


def test_what_can_join_a_batch_gets_ready_first_if_there_is_room() -> None:
    running, new = Job("running", 3), Job("new", 9, phase="begin")
    stranger = Job("stranger", 8, phase="begin", shape=1)
    assert names(of(running, stranger, new, at_most=2)) == ["new"]
    assert names(of(running, stranger, new, at_most=1)) == ["running"]
    full = of(running, Job("also running", 4), new, at_most=2)
    assert names(full) == ["running", "also running"]


def test_no_moment_is_spare_in_which_normal_work_is_about_to_go_on() -> None:
    waiting, low = Job("waiting", 1, phase="waiting"), Job("low", 50, low_priority=True)
    scheduler = of(waiting, low)
    assert scheduler.next() == []
    assert scheduler.next(idle=True) == [low]
    assert scheduler.next() == [low], "until the other can run"
    waiting.phase = "step"
    assert scheduler.next(idle=True) == [waiting]
    scheduler.spent([waiting], 1.0)
    waiting.phase = "waiting"
    assert scheduler.next() == [low], "it is owed a turn"


def test_a_task_that_waits_for_its_encoder_delays_no_other() -> None:
    waiting = Job("waiting", 1, phase="waiting")
    scheduler = of(waiting, Job("long", 50))
    assert set(run(scheduler, 10)) == {"long"}
    waiting.phase = "begin"
    assert names(scheduler) == ["waiting"]
    assert of(Job("waiting", phase="waiting")).next() == []


def test_shapes_take_turns_however_large_the_batches_of_one_are() -> None:
    jobs = [Job(f"short {i}", 2) for i in range(4)]
    scheduler = of(Job("long", 100, shape=1), *jobs, at_most=4)
    turns = Counter(names(scheduler)[0] for _ in range(40))
    assert turns["long"] == 10
