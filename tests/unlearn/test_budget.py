"""A budget in seconds: the run follows it, ends with it, and counts work only."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoders import Concept
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.errors import SettingsInvalid
from unlearn.methods import optimise
from unlearn.methods.optimise import Unlearning
from unlearn.methods.run_state import share_done
from video import load_backbone
from video.models.backbone import Backbone


class Clock:
    """A clock by which every step takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(optimise, "perf_counter", clock)
    return clock


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


def start(backbone: Backbone, checkpoint: bytes | None = None, **settings: object) -> Unlearning:
    chosen = UnlearnSettings.from_json({"steps": 100, "batch_size": 2, **settings})
    task = UnlearnTask((Concept(name="pogo", kind="character"),), chosen)
    return unlearn(task, backbone, checkpoint)


def test_the_run_ends_when_its_budget_is_used_up(backbone: Backbone, clock: Clock) -> None:
    run, rates, progress = start(backbone, max_seconds=10), list[float](), dict[int, float]()
    for step in run:
        progress[step.step] = step.share
        assert step.seconds == step.step
        if run._state is not None:
            rates.append(run._state.adam.param_groups[0]["lr"])
        clock.now += 100  # a pause, in which others have the device
    assert progress == pytest.approx({step: step / 10 for step in range(1, 11)})
    assert rates == sorted(rates, reverse=True)
    assert rates[5] == rates[0]
    assert rates[-1] == pytest.approx(optimise.cooled(0.9, 100, 0.4) * rates[0])
    assert rates[-1] < 0.2 * rates[0]
    settings = run.encoder.card.settings
    assert (settings["max_seconds"], settings["steps_done"]) == (10, 10)


def test_the_steps_end_a_run_with_time_left(backbone: Backbone, clock: Clock) -> None:
    run = start(backbone, steps=4, max_seconds=1000)
    shares = {1: 0.25, 2: 0.5, 3: 0.75, 4: 1}
    assert {step.step: step.share for step in run} == shares
    free = start(backbone, steps=4)
    assert {step.step: step.share for step in free} == shares
    assert run.encoder.card.digest == free.encoder.card.digest
    assert "steps_done" not in free.encoder.card.settings


def test_what_was_worked_before_an_interruption_counts(backbone: Backbone, clock: Clock) -> None:
    first = start(backbone, max_seconds=10)
    for _ in range(7):
        next(first)
    checkpoint = first.checkpoint()
    assert share_done(checkpoint) == pytest.approx(0.7)
    clock.now += 1000  # the server is away
    run = start(backbone, checkpoint, max_seconds=10)
    assert list(dict.fromkeys(step.step for step in run)) == [8, 9, 10]
    assert run.checkpoint() is None


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "soon"])
def test_a_budget_is_a_number_of_seconds(seconds: object) -> None:
    with pytest.raises(SettingsInvalid, match="max_seconds"):
        UnlearnSettings.from_json({"max_seconds": seconds})
