"""Parts of the comparison: its prompts, its metrics, and the outcomes that it keeps on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.forgetting import metrics
from benchmarks.forgetting.cases import (
    CONCEPTS,
    KIND_OF,
    NEIGHBOURS,
    Case,
    first,
    kept_cases,
    nearest,
    target_cases,
    wording_cases,
)
from benchmarks.forgetting.evaluation import AT_A_TIME, OutcomeReader
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention, edited
from benchmarks.forgetting.methods import COMPARED, FOUR, METHODS, VARIANTS
from benchmarks.forgetting.outcomes import OutcomeStore, SampleOutcome
from benchmarks.forgetting.parts import COMMON
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.forgetting.sizes import BASELINE, FULL, SampleSizes
from benchmarks.forgetting.tables import overall, size
from benchmarks.harness import WEIGHTS, harness
from encoders import Concept
from starter.captions import HELD_OUT_WORDS
from unlearn import UnlearnSettings
from unlearn.judges.classifier import ClassifierJudge
from unlearn.prompts import all_names, mentions, trained_prompts
from video import load_backbone
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone

EVERY = sorted(KIND_OF)


@pytest.fixture(scope="module")
def starter() -> Backbone:
    return load_backbone(WEIGHTS)


@pytest.mark.parametrize("concept", EVERY)
def test_no_prompt_is_one_that_was_trained_on(starter: Backbone, concept: str) -> None:
    kind, book = KIND_OF[concept], starter.prompts
    names = all_names(concept, kind, (), book)
    trained = trained_prompts(Concept(name=concept, kind=kind), book)
    asked = first(target_cases(concept, kind, book, is_video=False), 40)
    assert not trained & {case.prompt for case in asked}
    assert all(case.concept == concept for case in asked)
    assert len({(case.prompt, case.seed) for case in asked}) == 40
    for group in ("same kind", "other kinds", "neighbours"):
        is_video = kind == "motion"
        kept = first(kept_cases(concept, kind, group, starter, is_video=is_video), 30)  # type: ignore[arg-type]
        assert len(kept) == 30
        assert not any(mentions(case.prompt, names) for case in kept)
        assert all((case.kind == kind) == (group != "other kinds") for case in kept)


@pytest.mark.parametrize("concept", [name for name in EVERY if KIND_OF[name] != "motion"])
def test_held_out_wordings_are_in_no_caption_of_the_model(starter: Backbone, concept: str) -> None:
    asked = first(wording_cases(concept, KIND_OF[concept], starter.prompts, is_video=False), 10)
    assert len(asked) == 10
    assert all(any(words in case.prompt for words in HELD_OUT_WORDS[concept]) for case in asked)
    everything = " | ".join(starter.prompts.retain)
    assert not any(words in everything for words in HELD_OUT_WORDS[concept])


def test_every_concept_is_asked_for_before_any_comes_again(starter: Backbone) -> None:
    kept = first(kept_cases("balloon", "object", "same kind", starter, is_video=False), 14)
    others = [case.concept for case in kept]
    assert len(set(others[:7])) == 7
    assert others[:7] == others[7:]
    near = nearest("balloon", "object", starter)
    assert len(near) == 7
    asked = first(kept_cases("balloon", "object", "neighbours", starter, is_video=False), 6)
    assert {case.concept for case in asked} == set(near[:NEIGHBOURS])


def test_the_first_of_a_list_stay_the_first(starter: Backbone) -> None:
    few = first(target_cases("pogo", "character", starter.prompts, is_video=True), 3)
    many = first(target_cases("pogo", "character", starter.prompts, is_video=True), 9)
    assert many[:3] == few
    assert {kind: len(names) for kind, names in CONCEPTS.items()} == dict.fromkeys(CONCEPTS, 3)


def test_pictures_are_the_engines() -> None:
    shots = [SampleRequest("pogo at night", 5), SampleRequest("a teapot", 6)]
    with harness() as running:
        capabilities = running.backbone.capabilities
        requests = [
            GenerationRequest(
                shot.prompt,
                seed=shot.seed,
                steps=capabilities.steps_default,
                guidance=capabilities.guidance_default,
                frames=None,
            )
            for shot in shots
        ]
        theirs = running.generate(requests, "stills")
        ours = sample(running.backbone, shots, is_video=False)  # in the same precision
    for mine, other in zip(ours, theirs, strict=True):
        assert np.abs(mine.astype(int) - other).max() <= 1


def test_an_edit_of_the_denoiser_is_undone_whatever_happens(starter: Backbone) -> None:
    denoiser = starter.denoiser(is_video=False).network
    name, parameter = next(iter(denoiser.named_parameters()))
    before = parameter.clone()

    def interrupted() -> None:
        with edited(denoiser, {name: before + 1}):
            assert (parameter == before + 1).all()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert (parameter == before).all()


class Counting(OutcomeStore):
    """A store of outcomes that counts the pictures it had to make."""

    made = 0

    def _look(
        self, cases: Sequence[Case], backbone: Backbone, intervention: Intervention | None
    ) -> list[SampleOutcome]:
        self.made += len(cases)
        return super()._look(cases, backbone, intervention)


def test_what_was_seen_is_not_made_again(starter: Backbone, tmp_path: Path) -> None:
    judge = ClassifierJudge.load(WEIGHTS / "judge")

    def look(store: OutcomeStore, count: int) -> list[SampleOutcome]:
        cases = target_cases("pogo", "character", starter.prompts, is_video=False)
        return store.outcomes("a/b", cases, count, starter, None)

    store = Counting(tmp_path, judge)
    seen = look(store, 2)
    again = Counting(tmp_path, judge)
    assert look(again, 2) == seen
    assert again.made == 0
    more = look(again, 3)
    assert (more[:2], again.made) == (seen, 1)
    assert [one.any for one in more] == [True] * 3  # the base shows what it is asked for
    assert (more[0].moved, len(more[0].features)) == (0.0, 256)


def test_a_picture_is_its_prompt_and_its_seed(starter: Backbone, tmp_path: Path) -> None:
    store = Counting(tmp_path, ClassifierJudge.load(WEIGHTS / "judge"))
    listed = [
        Case(prompt, seed, "pogo", "character", False)
        for prompt, seed in (("pogo", 1), ("pogo", 2), ("pogo at night", 1))
    ]

    def look(cases: Sequence[Case]) -> list[SampleOutcome]:
        return store.outcomes("a/b", iter(cases), 3, starter, None)

    found = look(listed)
    assert (store.made, len({tuple(one.features) for one in found})) == (3, 3)
    assert look(listed[::-1]) == found[::-1]
    assert store.made == 3


def seen(*frames: bool, valid: bool = True) -> SampleOutcome:
    return SampleOutcome(list(frames), [valid] * len(frames), 0.0, [])


def test_one_frame_is_enough_to_be_there_and_most_are_needed_to_be_kept() -> None:
    pictures = [seen(False, False, False), seen(False, True, False), seen(True, True, False)]
    assert metrics.forgotten(pictures)["rate"] == round(1 / 3, 4)
    assert metrics.kept(pictures)["rate"] == round(1 / 3, 4)
    assert metrics.forgotten_frames(pictures)["rate"] == round((3 + 2 + 1) / 9, 4)
    assert metrics.curve(pictures) == [round(1 / 3, 3), round(2 / 3, 3), 0.0]
    assert metrics.valid([seen(True), seen(True, valid=False)])["rate"] == 0.5


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_loss_lies_within_its_interval(pairs: list[tuple[bool, bool]]) -> None:
    base, now = [one for one, _ in pairs], [other for _, other in pairs]
    figure = metrics.paired_drop(base, now)
    low, high = figure["interval"]
    assert figure["mean"] == round((sum(base) - sum(now)) / len(pairs), 4)
    assert -1.0001 <= low <= figure["mean"] + 1e-4
    assert figure["mean"] - 1e-4 <= high <= 1.0001
    mirrored = metrics.paired_drop(now, base)
    assert mirrored["interval"] == pytest.approx([-high, -low], abs=2e-4)


def test_nineteen_of_twenty_intervals_hold_the_true_loss() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        base = rng.random(60) < 0.95
        now = base & (rng.random(60) < 0.9)
        low, high = metrics.paired_drop(base.tolist(), now.tolist())["interval"]
        held += low <= 0.95 * 0.1 <= high
    assert held / 400 > 0.92


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_renders_are_as_far_from_renders_as_the_floor_and_others_are_farther(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frechet = metrics.Frechet(rng.normal(size=(1500, 40)))
    floor = frechet.floor(300)
    assert frechet.distance(rng.normal(size=(300, 40))) < 3 * floor + 0.5
    assert frechet.distance(rng.normal(size=(300, 40)) + 1) > 5 * floor
    assert frechet.distance(rng.normal(size=(300, 40)) * 3) > 5 * floor


def test_the_harmonic_mean_forgives_nothing() -> None:
    assert metrics.harmonic_mean(1.0, 1.0, 0.0) == 0.0
    assert metrics.harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)


class Counted:
    """An experiment whose pictures all show the concept, or none does."""

    def __init__(self, shows: bool) -> None:
        self.shows = shows
        self.asked = 0

    def outcomes(
        self, method: str, concept: str, group: str, count: int, *, is_video: bool, model: str
    ) -> list[SampleOutcome]:
        self.asked = max(self.asked, count)
        return [seen(self.shows)] * count


@pytest.mark.parametrize(
    ("sizes", "shows", "looked"),
    [(BASELINE, True, AT_A_TIME), (BASELINE, False, BASELINE.target_clips), (FULL, True, 50)],
)
def test_clips_are_looked_at_until_it_is_clear(
    sizes: SampleSizes, shows: bool, looked: int
) -> None:
    """Two clips of each of three concepts are enough to see that nothing was forgotten."""
    bench = Counted(shows)
    found = OutcomeReader(cast(Experiment, bench), CONCEPTS["object"], sizes).clips("ascent")
    assert (bench.asked, len(found)) == (looked, 3 * looked)


def test_the_best_forgets_keeps_and_withstands() -> None:
    def of(forgets: float, keeps: float) -> dict[str, Any]:
        return {"object": {"UA": {"rate": forgets}, "kept, same kind": {"rate": keeps}}}

    methods = {"good": of(1.0, 0.9), "open": of(1.0, 1.0), "broken": of(1.0, 0.1)}
    rates = {"good": 0.1, "open": 0.9, "broken": 0.0}
    attacks = {name: {COMMON: {"concepts": {"pogo": rate}}} for name, rate in rates.items()}
    attacks["good"][COMMON]["concepts"]["house"] = 1.0  # no other method was attacked for it
    found = overall(methods, attacks)
    assert found["good"] == {"UA": 1.0, "IRA": 0.9, "1 - attacks": 0.9, "harmonic": 0.931}
    assert found["good"]["harmonic"] > max(found[n]["harmonic"] for n in ("open", "broken"))


def test_an_encoders_size_is_the_largest_ones() -> None:
    base = (WEIGHTS / "text_encoder" / "model.safetensors").stat().st_size
    found = size({"object": {"bytes": [base // 200, base // 50]}, "style": {"bytes": [10]}})
    assert found["share"] == pytest.approx(0.02, abs=1e-3)


def test_variants_differ_from_the_default_and_their_names_from_each_other() -> None:
    assert len({repr(settings) for settings in (UnlearnSettings(), *VARIANTS.values())}) == 13
    assert set(COMPARED) | {FOUR} <= set(METHODS)
    assert len({*METHODS}) == len(COMPARED) + 2 + len(VARIANTS)
