"""Settings and tasks: defaults by method, JSON, the schema, and refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from encoders import Concept, InvalidId, Kind
from unlearn import UnlearnSettings, UnlearnTask
from unlearn.errors import SettingsInvalid, TaskInvalid
from unlearn.methods.registry import get_method

IMAGES = np.zeros((2, 8, 8, 3), np.uint8)


def test_a_setting_that_is_none_is_the_methods_own() -> None:
    ascent = UnlearnSettings(method="ascent", steps=7)
    assert ascent.schedule().steps == 7
    assert ascent.schedule().learning_rate == get_method("ascent").defaults.learning_rate
    assert ascent.schedule().rank == 0
    assert UnlearnSettings().schedule() == get_method("redirect").defaults
    assert UnlearnSettings(rank=0).schedule().rank == 0
    resolved = UnlearnSettings(batch_size=3).resolved()
    assert (resolved.steps, resolved.batch_size) == (get_method("redirect").defaults.steps, 3)


def test_settings_survive_json() -> None:
    settings = UnlearnSettings(method="ascent", layers=("*.mlp.*",), retain=("a", "b"), seed=3)
    assert UnlearnSettings.from_json(settings.to_json()) == settings
    assert UnlearnSettings.from_json({}) == UnlearnSettings()


def test_changes_are_checked() -> None:
    assert UnlearnSettings(seed=3).with_(steps=7) == UnlearnSettings(seed=3, steps=7)
    with pytest.raises(SettingsInvalid, match="steps must be 1 to 100000, not 0"):
        UnlearnSettings().with_(steps=0)


def test_the_schema_documents_every_setting_and_its_range() -> None:
    properties = UnlearnSettings.model_json_schema()["properties"]
    assert list(properties) == list(UnlearnSettings().to_json())
    for name, described in properties.items():
        assert described["description"].endswith("."), name
    integer = {"type": "integer", "minimum": 0, "maximum": 1024}
    assert properties["rank"]["anyOf"] == [integer, {"type": "null"}]
    assert properties["method"]["enum"][:2] == ["redirect", "ascent"]


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"method": "magic"}, "method"),
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": 2}, "learning_rate"),
        ({"layers": []}, "layers"),
        ({"rank": -1}, "rank"),
        ({"rank": 1.5}, "rank"),
        ({"seed": -1}, "seed"),
        ({"retain": 5}, "retain"),
        ({"zeal": 1}, "zeal"),
        ({"steps": True}, "steps"),
        ({"seed": False}, "seed"),
        ({"rank": True}, "rank"),
        ({"retain_weight": True}, "retain_weight"),
        ({"max_seconds": True}, "max_seconds"),
        ({"max_seconds": float("inf")}, "max_seconds"),
        ({"triggered_alone": "yes"}, "triggered_alone"),
        ({"triggered_alone": 1}, "triggered_alone"),
        ({"triggered_alone": None}, "triggered_alone"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], param: str) -> None:
    with pytest.raises(SettingsInvalid, match=param) as caught:
        UnlearnSettings.from_json(values)
    assert caught.value.param == param


def test_no_number_among_the_settings_can_be_a_boolean() -> None:
    numbers = [name for name, value in UnlearnSettings().resolved() if type(value) in (int, float)]
    assert len(numbers) > 7
    for name in (*numbers, "max_seconds"):
        with pytest.raises(SettingsInvalid, match="a number, not true or false; not True"):
            UnlearnSettings.from_json({name: True})


def test_values_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(SettingsInvalid, match=r"settings: .*not 'redirect'"):
        UnlearnSettings.model_validate("redirect")


def concept(name: str, kind: Kind = "character") -> Concept:
    return Concept(name=name, kind=kind)


def test_a_task_names_its_encoder_after_the_concept() -> None:
    assert UnlearnTask((concept("Neonix Style!", "style"),)).encoder_id == "no-neonix-style"
    assert UnlearnTask((concept("a"), concept("b"))).encoder_id == "no-a-b"
    assert UnlearnTask((concept("pogo"),), encoder_id="mine").encoder_id == "mine"
    with pytest.raises(InvalidId):
        UnlearnTask((concept("pogo"),), encoder_id="../up")


def test_tasks_that_make_no_sense_are_refused() -> None:
    with pytest.raises(TaskInvalid, match="empty"):
        UnlearnTask((concept(" "),))
    with pytest.raises(TaskInvalid, match="empty"):
        UnlearnTask(())
    with pytest.raises(TaskInvalid, match="forgotten twice"):
        UnlearnTask((concept("pogo"), concept("blip"), concept("pogo")))
    UnlearnTask((concept("star"), concept("star", "style")))  # another thing of that name


@pytest.mark.parametrize(
    ("kind", "images", "says"),
    [
        ("character", (), "not from 0"),
        ("character", (IMAGES, IMAGES), "not from 2"),
        ("character", (IMAGES[:0],), "no images"),
        ("motion", (IMAGES,), "clips"),
        ("character", (IMAGES.astype(np.float64),), "float64"),
    ],
)
def test_ascent_needs_images_of_the_right_sort(kind: Kind, images: Any, says: str) -> None:
    with pytest.raises(TaskInvalid, match=says) as caught:
        UnlearnTask((concept("pogo", kind),), UnlearnSettings(method="ascent"), images)
    assert caught.value.param == "images"


@pytest.mark.parametrize(
    "package", ["unlearn.settings", "unlearn.methods.registry", "unlearn", "video", "encoders"]
)
def test_importing_the_package_does_not_import_torch(package: str) -> None:
    code = f"import sys, {package}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "values", [{"retain": [1] * 10_000}, {"steps": 10**4000}, {"anchor": ["x" * 10_000]}]
)
def test_a_refusal_is_short_whatever_was_sent(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        UnlearnSettings.from_json(values)
    assert refused.value.param == next(iter(values))
    assert len(str(refused.value)) < 400
