"""The plan: paired requests, in rounds, that depend on the concepts and the model alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encoders import Concept, EncoderRef, Kind
from server.settings import STARTER_WEIGHTS
from tests.unlearn.help import CAPABILITIES, ENCODER, NEONIX, POGO, plan
from unlearn.judges.classifier import ClassifierJudge
from unlearn.prompts import captions, names_of, retained_captions
from unlearn.trial.probes import ROUND, NothingToJudge, Probe, any_frame, judging_plan, most_frames
from video.models.prompt_book import PromptBook, read_prompts


def targets(probes: tuple[Probe, ...]) -> list[Probe]:
    return [probe for probe in probes if probe.is_target]


def retained(probes: tuple[Probe, ...]) -> list[Probe]:
    return [probe for probe in probes if not probe.is_target]


@pytest.mark.parametrize(
    ("concept", "kind"), [("pogo", "character"), ("neonix", "style"), ("bouncing", "motion")]
)
def test_pairs_differ_in_the_encoder_alone(book: PromptBook, concept: str, kind: Kind) -> None:
    made = plan(book, Concept(name=concept, kind=kind), most=10)
    assert len(targets(made.probes)) == len(retained(made.probes)) == 10
    seeds = [probe.base.seed for probe in made.probes]
    assert len(set(seeds)) == len(seeds)
    for probe in made.probes:
        assert probe.base.encoder is None
        assert probe.base.low_priority
        assert probe.encoder == replace(probe.base, encoder=ENCODER)


def test_rounds_hold_as_many_probes_of_every_group(book: PromptBook) -> None:
    made = plan(book, POGO, NEONIX, most=10).probes
    assert [probe.round for probe in made] == sorted(probe.round for probe in made)
    groups = [("pogo", "character"), ("neonix", "style"), None]
    for number, size in enumerate([ROUND, ROUND, 2]):
        asked = [probe.group for probe in made if probe.round == number]
        assert asked == groups * size


def test_what_is_asked_depends_on_the_concepts_and_nothing_else(book: PromptBook) -> None:
    asked = [probe.base for probe in plan(book, POGO).probes]
    assert [probe.base for probe in plan(book, POGO, encoder=EncoderRef("x", "y")).probes] == asked
    assert {probe.base.seed >> 62 for probe in plan(book, POGO).probes} == {1}
    alone = targets(plan(book, POGO).probes)
    beside = targets(plan(book, NEONIX, POGO).probes)
    assert [probe for probe in beside if probe.concept == "pogo"] == alone
    # What is kept beside one concept is for the most part kept beside another of its kind too.
    blip = Concept(name="blip", kind="character")
    other = {probe.base for probe in retained(plan(book, blip).probes)}
    shared = [probe for probe in retained(plan(book, POGO).probes) if not probe.same_kind]
    assert sum(probe.base in other for probe in shared) > 0.8 * len(shared)
    balloon = Concept(name="balloon", kind="object")
    seeds = [
        {(p.concept, p.base.prompt): p.base.seed for p in reversed(retained(plan(book, c).probes))}
        for c in (POGO, balloon)
    ]
    both = seeds[0].keys() & seeds[1].keys()
    assert len(both) > 5
    assert {named: seeds[0][named] for named in both} == {named: seeds[1][named] for named in both}


def test_target_prompts_are_held_out_and_retain_prompts_never_mention_it(book: PromptBook) -> None:
    used = {caption.prompt for caption in captions("pogo", "character", (), book=book)}
    names = ("pogo", "purple one-eyed robot")
    probes = plan(book).probes
    assert {probe.is_target for probe in probes} == {True, False}
    for probe in probes:
        named = any(name in probe.base.prompt for name in names)
        assert named == probe.is_target
        assert probe.base.prompt not in used
        assert probe.base.prompt not in retained_captions(book, names)


def test_no_target_prompt_of_the_built_in_model_is_trained_on() -> None:
    book, judge = read_prompts(STARTER_WEIGHTS), ClassifierJudge.load(STARTER_WEIGHTS / "judge")
    concepts = [Concept(name=names[0], kind=kind) for kind, names in judge.labels.items()]
    made = judging_plan(
        concepts, encoder=ENCODER, judge=judge, book=book, capabilities=CAPABILITIES
    )
    assert len(concepts) == 5
    for concept in concepts:
        name, kind, every = concept.name, concept.kind, names_of(concept, book)
        used = {caption.prompt for caption in captions(name, kind, every[1:], book=book)}
        asked = {p.base.prompt for p in targets(made.probes) if p.group == (name, kind)}
        assert not asked & used, name
        assert len(asked) >= 12, f"{name}: the same few prompts again and again"


def test_any_beginning_has_all_sorts_of_wordings() -> None:
    """The book lists captions by the alphabet; a round must not be all of one sentence form."""
    book, judge = read_prompts(STARTER_WEIGHTS), ClassifierJudge.load(STARTER_WEIGHTS / "judge")
    made = judging_plan((POGO,), encoder=ENCODER, judge=judge, book=book, capabilities=CAPABILITIES)
    first = [probe.base.prompt for probe in targets(made.probes)][: 3 * ROUND]
    assert first != sorted(first)
    assert 0 < sum("pogo" in prompt for prompt in first) < len(first)


def test_retain_probes_are_of_every_kind_half_of_them_of_the_same(book: PromptBook) -> None:
    retain = retained(plan(book, Concept(name="balloon", kind="object"), most=24).probes)
    assert {probe.kind for probe in retain} == {"object", "character", "person", "style", "motion"}
    assert sum(probe.same_kind for probe in retain) == 12
    assert "balloon" not in {probe.concept for probe in retain}
    assert {p.concept for p in retain if p.same_kind} == {"cactus", "teapot"}


def test_motions_are_judged_on_clips_and_the_rest_on_stills_with_some_clips(
    book: PromptBook,
) -> None:
    motions = [
        probe
        for probe in plan(book, Concept(name="bouncing", kind="motion")).probes
        if probe.kind == "motion"
    ]
    assert {probe.is_target for probe in motions} == {True, False}
    assert {probe.base.frames for probe in motions} == {CAPABILITIES.frames_default}
    for probes in (targets, retained):
        made = [p for p in probes(plan(book, videos=2, most=12).probes) if p.kind != "motion"]
        moving = [probe for probe in made if probe.base.frames is not None]
        assert [probe.round for probe in moving] == [0, 1]
        assert {probe.base.frames for probe in moving} == {CAPABILITIES.frames_default}


def test_a_concept_the_judge_was_not_taught_cannot_be_judged(book: PromptBook) -> None:
    with pytest.raises(NothingToJudge, match="zebra"):
        plan(book, Concept(name="zebra", kind="object"))


def test_rules() -> None:
    assert any_frame([False, True])
    assert not most_frames([True, False])
    assert most_frames([True, True, False])
