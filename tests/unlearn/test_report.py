"""The report as data: its figures are the card's, and the same input makes the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.unlearn.report_help import CAPABILITIES, LOSSES, MEASURES, OUTCOMES, card_of, files_of
from unlearn.report.model import REPORT_JSON, Report
from unlearn.report.rates import percent, rate_of, rates


def test_every_figure_of_the_json_is_the_cards(files: Mapping[str, bytes]) -> None:
    said = json.loads(files[REPORT_JSON])
    assert said["schema_version"] == 1
    assert said["card"] == json.loads(card_of().to_json())
    assert said["card"]["measures"] == MEASURES
    assert said["sizes"] == {
        "encoder_bytes": 21_208,
        "base_bytes": 3_967_872,
        "ratio": pytest.approx(0.005345, rel=1e-3),
    }
    assert said["losses"] == LOSSES
    assert said["sampling"] == {
        "width": 64,
        "height": 48,
        "fps": CAPABILITIES.fps_default,
        "steps": CAPABILITIES.steps_default,
        "guidance": 2.5,
    }
    assert set(said["software"]) == {
        "palimpsest",
        "python",
        "torch",
        "diffusers",
        "transformers",
    }
    asked = [(p["prompt"], p["seed"], p["concept"], p["kind"]) for p in said["pairs"]]
    probes = [o.probe for o in OUTCOMES]
    assert asked == [(p.base.prompt, p.base.seed, p.concept, p.kind) for p in probes]
    seen = [(p["shown_base"], p["shown_encoder"]) for p in said["pairs"]]
    assert seen == [(o.by_base, o.by_encoder) for o in OUTCOMES]
    assert [p["failed"] for p in said["pairs"]] == [False, False, True, False, False, True, False]
    assert Report.model_validate_json(files[REPORT_JSON]).model_dump(mode="json") == said


def test_rates_are_read_in_their_order_and_the_unknown_come_last() -> None:
    read = rates({"odd_rate": 0.5, "odd_n": 4, **MEASURES, "flag_rate": True})
    assert [rate.name for rate in read] == [
        "forget",
        "base",
        "retain",
        "base_retain",
        "retain_other_kinds",
        "odd",
    ]
    assert read[-1].said() == "50\u202f%"
    assert rate_of(MEASURES, "retain_other_kinds") is None
    own = rates(MEASURES["concepts"]["pogo"])
    assert [(rate.interval, rate.n) for rate in own] == [((0.3, 0.9032), 6), (None, 7)]
    assert [percent(share) for share in (0, 0.9375, 1, 0.0053)] == [
        "0\u202f%",
        "93.8\u202f%",
        "100\u202f%",
        "0.5\u202f%",
    ]


def test_the_same_input_makes_the_same_bytes(files: Mapping[str, bytes]) -> None:
    assert files_of() == files
