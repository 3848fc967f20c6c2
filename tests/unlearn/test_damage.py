"""Damage beside the rates: distances, collapse, where a concept goes, and near concepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders import Concept
from tests.unlearn.help import NEONIX, POGO, FakeJudge, plan
from unlearn.judges.seen import seen_by
from unlearn.trial.distance import distance, distance_measures
from unlearn.trial.gate import Gate
from unlearn.trial.measures import measures_of
from unlearn.trial.neighbours import neighbour_steps
from unlearn.trial.outcomes import Outcome, outcome_of
from unlearn.trial.probes import AGAIN, NEAREST
from video import load_backbone
from video.models.prompt_book import PromptBook

LEVELS = st.integers(0, 255)


@given(LEVELS, LEVELS, st.integers(1, 3))
def test_the_distance_is_the_mean_difference_of_the_pixels(a: int, b: int, frames: int) -> None:
    one = np.full((frames, 4, 6, 3), a, np.uint8)
    other = np.full((2, 4, 6, 3), b, np.uint8)
    assert distance(one, other) == distance(other, one) == abs(a - b)


def test_a_colour_that_turns_is_far_though_the_class_is_right(book: PromptBook) -> None:
    """A small body of another colour, against what another seed changes."""
    gate = Gate.of_tier("standard")
    probes = [probe for probe in plan(book, gate=gate).probes if not probe.is_target]
    assert sum(probe.again is not None for probe in probes) == AGAIN
    judge = FakeJudge()
    outcomes: list[Outcome] = []
    for probe in probes[:24]:
        base = np.repeat(judge.clip(probe.concept), 4, axis=1)
        turned, again = base.copy(), base.copy()
        turned[:, 4:12, :, 2] = 200
        again[:, 1:, :, 0] = 80
        outcomes.append(
            outcome_of(probe, base, turned, judge, again=again if probe.again else None)
        )
    measures = measures_of(outcomes, [POGO])
    assert measures["retain_drop"] == 0.0
    assert measures["retain_distance"] == pytest.approx(200 / 80 * 8 / 15, rel=0.01)
    assert ["far" for why in gate.failures(measures) if "from the base's own" in why]
    same = [replace(one, distance=0.0) for one in outcomes]
    assert measures_of(same, [POGO])["retain_distance"] == 0.0
    without = [replace(one, seed_distance=None) for one in outcomes]
    assert distance_measures(without)["retain_distance"] is None


def test_another_concept_in_its_place_is_counted_by_name(book: PromptBook) -> None:
    judge, gate = FakeJudge(), Gate.of_tier("standard")
    probes = [probe for probe in plan(book, gate=gate).probes if probe.is_target][:20]
    there = judge.clip(POGO.name, POGO.name, POGO.name)
    led, once = judge.clip("mira", "mira", None), judge.clip("mira", None, None)
    of = [outcome_of(probe, there, led, judge) for probe in probes[:3]]
    assert [one.redirected_to for one in of] == ["mira"] * 3
    assert outcome_of(probes[0], there, once, judge).redirected_to is None
    assert outcome_of(probes[0], led, led, judge).redirected_to is None  # the base draws it, too
    style = judge.clip("neonix", "neonix", "neonix")
    assert outcome_of(probes[0], there, style, judge).redirected_to is None  # not in its place
    blank = judge.clip(None, None, None)
    of += [outcome_of(probe, there, blank, judge) for probe in probes[3:]]
    measures = measures_of(of, [POGO])
    assert measures["concepts"]["pogo"]["redirected_to"] == {"mira": 3}
    (failure,) = [why for why in gate.failures(measures) if "in its place" in why]
    assert "mira in 3" in failure
    assert not [why for why in Gate().failures(measures) if "in its place" in why]


def test_a_forgotten_concept_is_no_redirection_but_a_miss(book: PromptBook) -> None:
    judge, both = FakeJudge(), [POGO, Concept(name="mira", kind="person")]
    probe = next(probe for probe in plan(book, *both).probes if probe.concept == "pogo")
    seen = outcome_of(probe, judge.clip("pogo"), judge.clip("mira"), judge, forgotten=both)
    assert (seen.by_encoder, seen.redirected_to) == (True, None)


def test_a_picture_of_nothing_is_a_collapse(book: PromptBook) -> None:
    judge, gate = FakeJudge(), Gate.of_tier("standard")
    retained = [probe for probe in plan(book, gate=gate).probes if not probe.is_target][:10]
    retained = [probe for probe in retained if probe.kind != "motion"]
    of = [outcome_of(p, judge.clip(p.concept), judge.clip(None), judge) for p in retained]
    assert measures_of(of, [POGO])["collapse"] == 1.0
    # Where a style was forgotten, the subject has to stay, and the other way round.
    target = next(probe for probe in plan(book, NEONIX).probes if probe.is_target)
    beside = outcome_of(target, judge.clip("balloon"), judge.clip("balloon"), judge)
    lost = outcome_of(target, judge.clip("balloon"), judge.clip(None), judge)
    assert (beside.valid_encoder, lost.valid_base, lost.valid_encoder) == (True, True, False)


def test_any_judge_can_be_asked_for_all_that_it_sees() -> None:
    judge = FakeJudge()
    seen = seen_by(judge, judge.clip("pogo", "mira"), ["character", "person"])
    assert seen["pogo", "character"] == [True, False]
    assert seen["mira", "person"] == [False, True]
    assert {kind for _, kind in seen} == {"character", "person"}


def test_neighbours_are_the_nearest_by_the_bases_embeddings(tiny_backbone_dir: Path) -> None:
    judge, tiny_backbone = FakeJudge(), load_backbone(tiny_backbone_dir, device="cpu")
    *_, found = neighbour_steps([POGO], judge, tiny_backbone)
    assert len(set(found)) == NEAREST
    assert ("pogo", "character") not in found
    assert all(kind != "motion" for _, kind in found)
    *_, both = neighbour_steps([POGO, NEONIX], judge, tiny_backbone)
    assert [one for one in both if one in found] == [o for o in found if o[0] != "neonix"]
    assert not {("pogo", "character"), ("neonix", "style")} & set(both)
