"""Settings and tasks: defaults by method and kind, JSON, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from encoders import InvalidId
from unlearn import SettingsInvalid, TaskInvalid, UnlearnSettings, UnlearnTask
from unlearn.settings import DEFAULTS

IMAGES = np.zeros((2, 8, 8, 3), np.uint8)


def test_what_is_left_open_is_the_methods_own() -> None:
    ascent = UnlearnSettings(method="ascent", steps=7)
    assert ascent.schedule("object").steps == 7
    assert ascent.schedule("object").learning_rate == DEFAULTS["ascent"].learning_rate
    assert UnlearnSettings().schedule("motion").batch_size == 1
    assert UnlearnSettings(batch_size=3).schedule("motion").batch_size == 3
    resolved = UnlearnSettings().resolved("style")
    assert (resolved.steps, resolved.batch_size) == (DEFAULTS["redirect"].steps, 2)


def test_settings_survive_json() -> None:
    settings = UnlearnSettings(method="ascent", layers=("*.mlp.*",), retain=("a", "b"), seed=3)
    assert UnlearnSettings.from_json(settings.to_json()) == settings
    assert UnlearnSettings.from_json({}) == UnlearnSettings()


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"method": "magic"}, "method"),
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": 2}, "learning_rate"),
        ({"layers": []}, "layers"),
        ({"seed": -1}, "seed"),
        ({"retain": 5}, "retain"),
        ({"zeal": 1}, "zeal"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], param: str) -> None:
    with pytest.raises(SettingsInvalid, match=param) as caught:
        UnlearnSettings.from_json(values)
    assert caught.value.param == param


def test_a_task_names_its_encoder_after_the_concept() -> None:
    assert UnlearnTask("Neonix Style!", "style", IMAGES).encoder_id == "no-neonix-style"
    assert UnlearnTask("pogo", "character", IMAGES, encoder_id="mine").encoder_id == "mine"
    with pytest.raises(InvalidId):
        UnlearnTask("pogo", "character", IMAGES, encoder_id="../up")


def test_tasks_that_make_no_sense_are_refused() -> None:
    with pytest.raises(TaskInvalid, match="empty"):
        UnlearnTask(" ", "object", IMAGES)
    with pytest.raises(TaskInvalid, match="no images"):
        UnlearnTask("pogo", "character", IMAGES[:0])
    with pytest.raises(TaskInvalid, match="clips"):
        UnlearnTask("bouncing", "motion", IMAGES)
    with pytest.raises(TaskInvalid, match="float64"):
        UnlearnTask("pogo", "character", IMAGES.astype(np.float64))  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["unlearn", "video", "encoders"])
def test_importing_the_package_does_not_import_torch(package: str) -> None:
    code = f"import sys, {package}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
