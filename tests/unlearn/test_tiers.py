"""Tiers: gates by name, how single thresholds combine with them, and what passing takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from encoders import Kind
from tests.unlearn.help import NEONIX, POGO, plan
from tests.unlearn.test_trial import go
from unlearn.trial.gate import Gate
from unlearn.trial.probes import NEAREST, Probe
from unlearn.trial.trial import Trial
from video.models.prompt_book import PromptBook

NEAR: list[tuple[str, Kind]] = [("blip", "character"), ("mira", "person")]


def judged(
    book: PromptBook, gate: Gate, *, missed: int = 0, lost: int = 0, near_lost: int = 0
) -> Trial:
    """Judge an encoder that shows pogo, or loses others, in so many pairs: the first ones."""
    under_way = Trial(plan(book, POGO, gate=gate, neighbours=NEAR), [POGO], gate)
    left = {"target": missed, "others": lost, "near": near_lost}

    def answer(probe: Probe) -> tuple[bool, bool]:
        group = "target" if probe.is_target else "near" if probe.neighbour else "others"
        if group == "near" and probe.concept != "blip":
            return True, True
        left[group] -= 1
        return True, (left[group] >= 0) == probe.is_target

    go(under_way, answer)
    return under_way


@pytest.mark.parametrize(
    ("tier", "missed", "pairs", "passes"),
    [
        ("quick", 0, 12, True),
        ("standard", 0, 36, True),  # 35 are enough; rounds have four
        ("standard", 1, 56, True),
        ("certified", 0, 128, True),
        ("certified", 1, 188, True),
        ("certified", 3, 4, False),  # no number of pairs up to 260 would be enough
        ("standard", 3, 96, True),
        ("standard", 5, 8, False),
    ],
)
def test_what_each_tier_takes(
    book: PromptBook, tier: Any, missed: int, pairs: int, passes: bool
) -> None:
    gate = Gate.of_tier(tier)
    under_way = judged(book, gate, missed=missed)
    measures = under_way.measures()
    assert under_way.decision == "clear"
    assert measures["forget_n"] == pairs
    assert (gate.failures(measures) == []) == passes
    low = measures["concepts"]["pogo"]["interval"][0]
    assert (low >= gate.min_forget_rate) == (passes and tier != "quick")


def test_of_the_others_too_the_interval_has_to_lie_within_the_limit(book: PromptBook) -> None:
    gate = Gate.of_tier("certified")
    for lost, pairs in ((0, 76), (1, 112)):
        measures = judged(book, gate, lost=lost).measures()
        assert (measures["lost_n"], gate.failures(measures)) == (pairs, [])
        assert measures["lost_interval"][1] <= gate.max_retain_drop
    failed = judged(book, gate, lost=5).measures()
    assert any("Other concepts are lost" in why for why in gate.failures(failed))


def test_one_near_concept_that_is_lost_fails_though_the_mean_is_perfect(book: PromptBook) -> None:
    gate = Gate.of_tier("standard")
    for lost, passes in ((3, True), (4, False)):
        measures = judged(book, gate, near_lost=lost).measures()
        assert measures["retain_drop"] == 0.0
        failures = gate.failures(measures)
        assert (failures == []) == passes, failures
    assert "near concept blip (character) is lost from 4 of" in failures[0]
    assert measures["neighbours"]["mira (person)"]["lost_rate"] == 0.0


def test_every_concept_is_asked_until_its_own_interval_is_enough(book: PromptBook) -> None:
    gate = Gate.of_tier("standard")
    under_way = Trial(plan(book, POGO, NEONIX, gate=gate), [POGO, NEONIX], gate)
    go(under_way, lambda probe: (True, not probe.is_target))
    counts = [own["n"] for own in under_way.measures()["concepts"].values()]
    assert counts == [36, 36]


def test_a_threshold_takes_the_place_of_the_tiers_and_a_looser_one_its_name() -> None:
    stricter = Gate.of_tier("standard", min_forget_rate=0.95)
    assert (stricter.tier, stricter.min_forget_rate) == ("standard", 0.95)
    assert stricter.max_probes >= 110  # what 95 % takes with one miss
    assert stricter.max_retain_drop == Gate.of_tier("standard").max_retain_drop
    looser = Gate.of_tier("certified", max_retain_drop=0.2, max_probes=None)
    assert (looser.tier, looser.min_forget_rate, looser.max_probes) == ("custom", 0.97, 260)
    assert Gate.of_tier("certified", max_probes=500).tier == "certified"
    assert Gate.of_tier("certified", by_interval=False).tier == "custom"
    assert Gate.of_tier("standard", neighbour_probes=0).tier == "custom"
    for tier in ("quick", "standard", "certified", "custom"):
        whole = asdict(Gate.of_tier(tier))  # type: ignore[arg-type]
        assert asdict(Gate.of_tier(whole.pop("tier"), **whole)) == {**whole, "tier": tier}


def test_a_gate_that_no_encoder_can_pass_is_told_beforehand() -> None:
    for tier in ("quick", "standard", "certified"):
        assert Gate.of_tier(tier).unreachable() is None  # type: ignore[arg-type]
    field, why = Gate.of_tier("standard", max_probes=34).unreachable() or ("", "")
    assert field == "max_probes"
    assert "needs 35 pairs" in why
    assert Gate.of_tier("standard", max_probes=35).unreachable() is None
    field, why = Gate.of_tier("certified", max_retain_probes=72).unreachable() or ("", "")
    assert (field, "needs 73 pairs" in why) == ("max_retain_probes", True)


def test_a_stored_gate_from_before_the_tiers_means_what_it_meant(book: PromptBook) -> None:
    old = {
        "min_forget_rate": 0.9,
        "max_retain_drop": 0.1,
        "min_base_rate": 0.5,
        "max_probes": 32,
    }
    gate = Gate(**old)
    assert {**asdict(Gate.of_tier("quick")), "tier": "custom"} == asdict(gate)
    measures = judged(book, gate).measures()
    stored = {name: value for name, value in measures.items() if name in OLD_MEASURES}
    assert gate.failures(stored) == []
    assert NEAREST == 5


OLD_MEASURES = ("concepts", "retain_drop", "retain_n")
