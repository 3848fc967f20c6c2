"""The measures, and what the gate says about them."""

from __future__ import annotations

import pytest

from encoders import Concept
from tests.unlearn.help import NEONIX, POGO, FakeJudge, plan
from unlearn.trial.gate import Gate
from unlearn.trial.intervals import wilson
from unlearn.trial.measures import measures_of
from unlearn.trial.outcomes import Outcome, outcome_of
from video.models.prompt_book import PromptBook


def test_rates_follow_the_stricter_rule_of_each_side(book: PromptBook) -> None:
    judge = FakeJudge()
    target, retain = plan(book, POGO, most=1).probes
    there = judge.clip(target.concept, target.concept, target.concept)
    once = judge.clip(None, None, target.concept)
    assert answers(outcome_of(target, there, once, judge)) == (True, True)
    assert answers(outcome_of(target, there, judge.clip(None), judge)) == (True, False)
    there = judge.clip(retain.concept, retain.concept, None)
    once = judge.clip(retain.concept, None, None)
    assert answers(outcome_of(retain, there, once, judge)) == (True, False)


def answers(outcome: Outcome) -> tuple[bool, bool]:
    return outcome.by_base, outcome.by_encoder


def test_it_is_forgotten_only_where_the_base_shows_it(book: PromptBook) -> None:
    probes = [probe for probe in plan(book, POGO, most=4).probes if probe.is_target]
    seen = [(True, False), (True, True), (False, False), (False, True)]
    measures = measures_of([Outcome(p, *s) for p, s in zip(probes, seen, strict=True)], [POGO])
    assert (measures["base_rate"], measures["base_n"]) == (0.5, 4)
    assert (measures["forget_rate"], measures["forget_n"]) == (0.5, 2)
    low, high = measures["forget_interval"]
    assert low < 0.5 < high
    assert measures["retain_n"] == 0
    assert measures["retain_drop"] == 0.0


def test_what_is_kept_is_counted_in_pairs_and_by_kind(book: PromptBook) -> None:
    probes = [probe for probe in plan(book, POGO, most=4).probes if not probe.is_target]
    assert [probe.same_kind for probe in probes] == [True, False, True, False]
    seen = [(True, False), (True, True), (True, False), (False, True)]
    measures = measures_of([Outcome(p, *s) for p, s in zip(probes, seen, strict=True)], [POGO])
    assert (measures["retain_rate"], measures["base_retain_rate"]) == (0.5, 0.75)
    assert measures["retain_drop"] == 0.25
    assert (measures["retain_same_kind_rate"], measures["retain_other_kinds_rate"]) == (0.0, 1.0)
    assert measures["base_retain_other_kinds_n"] == 2


def test_each_concept_has_figures_of_its_own(book: PromptBook) -> None:
    probes = [probe for probe in plan(book, POGO, NEONIX, most=4).probes if probe.is_target]
    outcomes = [Outcome(probe, True, probe.concept == "neonix") for probe in probes]
    measures = measures_of(outcomes, [POGO, NEONIX])
    assert measures["forget_rate"] == 0.5
    assert measures["concepts"]["pogo"] == {
        "forget_rate": 1.0,
        "interval": [0.5101, 1.0],
        "n": 4,
        "base_rate": 1.0,
        "base_n": 4,
        "redirected_to": {},
    }
    assert measures["concepts"]["neonix"]["forget_rate"] == 0.0
    (failure,) = Gate().failures(measures)
    assert "'neonix' is gone from only 0% of the 4 clips" in failure


def test_two_concepts_of_one_name_are_told_apart() -> None:
    concepts = [Concept(name="dottie", kind="style"), Concept(name="dottie", kind="person")]
    assert set(measures_of([], concepts)["concepts"]) == {"dottie (style)", "dottie (person)"}


def test_the_gate_says_why() -> None:
    def measures(forget: float = 0.95, base: float = 1.0, drop: float = 0.05) -> dict[str, object]:
        own = {"forget_rate": forget, "n": 20, "base_rate": base, "base_n": 20}
        return {"concepts": {"pogo": own}, "retain_drop": drop, "retain_n": 20}

    assert Gate().failures(measures()) == []
    assert Gate().failures(measures(0.9, 0.5, 0.1)) == []
    assert "gone from only 50%" in Gate().failures(measures(forget=0.5))[0]
    assert "lost from 45%" in Gate().failures(measures(drop=0.45))[0]
    assert "only 20% of the 20 clips" in Gate().failures(measures(base=0.2))[0]
    assert len(Gate().failures(measures(0, 0, 1))) == 3


def test_intervals() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == pytest.approx(1.0)
