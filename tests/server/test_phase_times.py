"""Progress of an encoder's job: it follows time, and says how much is left."""

from __future__ import annotations

from typing import Any

import pytest

from server.jobs.phase_times import PhaseTimes, work_of
from server.storage.records import EncoderRecord


def job(
    method: str = "redirect", steps: int = 100, concepts: int = 1, **settings: float
) -> EncoderRecord:
    values: dict[str, Any] = {
        "concepts": [{"name": f"c{i}", "kind": "object"} for i in range(concepts)],
        "settings": {"method": method, "steps": steps, **settings},
        "gate": {"max_probes": 32},
    }
    return EncoderRecord(id="x", job_id="x", owner="local", progress=0, **values)


def times_by(clock: list[float]) -> PhaseTimes:
    return PhaseTimes(lambda: clock[0])


def test_a_phase_without_work_costs_no_progress() -> None:
    assert work_of(job(), 1.0)["images"] == 4
    assert work_of(job(), 1.0)["naming"] == 0
    assert work_of(job("ascent", concepts=2), 1.0)["images"] == 8
    timing = times_by([0.0]).begin(job(), "naming")
    assert timing.passed(1.0) == 0.0
    assert timing.seconds_left() is None


def test_progress_is_the_share_of_the_time_that_has_passed() -> None:
    """A job of 100 s of optimisation and 300 s of judging, measured by the job before."""
    clock = [0.0]
    times = times_by(clock)
    times.measured.update(images=0.0, optimising=1.0, judging=12.5)
    optimising = times.begin(job(), "optimising")
    assert optimising.passed(0.0) == 0.0
    assert optimising.seconds_left() == 400
    clock[0] = 50.0
    assert optimising.passed(0.5) == pytest.approx(50 / 400)
    assert optimising.seconds_left() == 350
    clock[0] = 100.0
    assert optimising.passed(1.0) == pytest.approx(100 / 400)
    assert optimising.seconds_left() == 300


def test_the_first_job_is_measured_while_it_runs() -> None:
    clock = [0.0]
    times = times_by(clock)
    timing = times.begin(job(), "optimising")
    timing.passed(0.0)
    assert timing.seconds_left() is None
    clock[0] = 50.0
    timing.passed(0.5)
    left = timing.seconds_left()
    assert left is not None
    assert left > 50  # the other half, and judging in proportion
    assert times.measured == {"optimising": pytest.approx(1.0)}


def test_a_restart_in_the_middle_does_not_count_what_was_done_before() -> None:
    clock = [0.0]
    times = times_by(clock)
    timing = times.begin(job(), "optimising")
    timing.passed(0.4)
    clock[0] = 60.0
    timing.passed(1.0)
    assert times.measured["optimising"] == pytest.approx(1.0)  # 60 steps in 60 s


def test_judging_that_takes_longer_than_usual_goes_on_slowly() -> None:
    timing = times_by([0.0]).begin(job(), "judging")
    told = [timing.passed(share / 100) for share in range(101)]
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert told[40] > 0.9  # 12 of 32 probes usually decide


def test_a_budget_bounds_the_time_of_the_steps() -> None:
    """A step takes a second, judging 300 s."""
    clock = [0.0]
    times = times_by(clock)
    times.measured.update(images=0.0, optimising=1.0, judging=12.5)
    timing = times.begin(job(max_seconds=20), "optimising")
    timing.passed(0.0)
    assert timing.seconds_left() == 320
    clock[0] = 10.0
    timing.passed(0.5)
    assert timing.seconds_left() == 310
    assert times.measured["optimising"] == pytest.approx(1.0)
    longer = times.begin(job(max_seconds=1000), "optimising")
    longer.passed(0.0)
    assert longer.seconds_left() == 400
