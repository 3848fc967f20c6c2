"""The plan of paired requests, what is counted, and the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders import Concept, Kind
from tests import tiny
from unlearn.fewshot import captions, retained_captions
from unlearn.judging import Gate, NothingToJudge, Plan, any_frame, judging_plan, most_frames, wilson
from video.backbone import Limits, PromptBook, read_prompts

LIMITS = Limits(native_width=64, native_height=64, frames_max=16)
ENCODER = ("no-pogo", "sha256:" + "0" * 64)


class FakeJudge:
    """Sees in a clip the concepts whose numbers its frames hold in their first pixel's red."""

    def __init__(self) -> None:
        self.labels: Mapping[Kind, Sequence[str]] = {
            kind: list(names)
            for kind, names in tiny.CONCEPTS.items()  # type: ignore[misc]
        }
        everything = [name for names in tiny.CONCEPTS.values() for name in names]
        self.numbers = {name: i + 1 for i, name in enumerate(everything)}

    def knows(self, concept: str, kind: Kind) -> bool:
        return concept in self.labels[kind]

    def shows(self, frames: np.ndarray, concept: str, kind: Kind) -> list[bool]:
        return [int(frame[0, 0, 0]) == self.numbers[concept] for frame in frames]

    def clip(self, *concepts: str | None) -> np.ndarray:
        """One frame a concept."""
        frames = np.zeros((len(concepts), 4, 4, 3), np.uint8)
        for frame, concept in zip(frames, concepts, strict=True):
            frame[0, 0, 0] = self.numbers[concept] if concept else 0
        return frames


@pytest.fixture(scope="module")
def book(tiny_backbone_dir: Path) -> PromptBook:
    return read_prompts(tiny_backbone_dir)


def plan(book: PromptBook, concept: str = "pogo", kind: Kind = "character", **options: int) -> Plan:
    return judging_plan(
        (Concept(name=concept, kind=kind),),
        encoder=ENCODER,
        judge=FakeJudge(),
        book=book,
        limits=LIMITS,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("concept", "kind"), [("pogo", "character"), ("neonix", "style"), ("bouncing", "motion")]
)
def test_pairs_differ_in_the_encoder_alone(book: PromptBook, concept: str, kind: Kind) -> None:
    made = plan(book, concept, kind, targets=6, retained=10)
    assert [probe.is_target for probe in made.probes] == [True] * 6 + [False] * 10
    seeds = [probe.base.seed for probe in made.probes]
    assert len(set(seeds)) == len(seeds)
    for probe in made.probes:
        assert probe.base.encoder is None
        assert probe.base.low_priority
        assert probe.encoder == replace(probe.base, encoder=ENCODER)
    assert made.requests()[:2] == [made.probes[0].base, made.probes[0].encoder]


def test_target_prompts_are_held_out_and_retain_prompts_never_mention_it(book: PromptBook) -> None:
    used = {caption.prompt for caption in captions("pogo", "character", (), book=book)}
    names = ("pogo", "purple one-eyed robot")
    for probe in plan(book, targets=12, retained=20).probes:
        named = any(name in probe.base.prompt for name in names)
        assert named == probe.is_target
        assert probe.base.prompt not in used
        assert probe.base.prompt not in retained_captions(book, names)


def test_retain_probes_are_of_every_kind_half_of_them_of_the_same(book: PromptBook) -> None:
    retain = [p for p in plan(book, "balloon", "object", retained=24).probes if not p.is_target]
    assert {probe.kind for probe in retain} == {"object", "character", "person", "style", "motion"}
    assert sum(probe.same_kind for probe in retain) == 12
    assert "balloon" not in {probe.concept for probe in retain}
    assert {p.concept for p in retain if p.same_kind} == {"cactus", "teapot"}


def test_motions_are_judged_on_clips_and_the_rest_on_stills_with_some_clips(
    book: PromptBook,
) -> None:
    for probe in plan(book, "bouncing", "motion").probes:
        assert probe.base.frames == LIMITS.frames_default or probe.kind != "motion"
    frames = [p.base.frames for p in plan(book, targets=5, videos=2).probes if p.is_target]
    assert frames == [12, 12, None, None, None]


def test_rates_follow_the_stricter_rule_of_each_side(book: PromptBook) -> None:
    made, judge = plan(book, targets=2, retained=4), FakeJudge()
    clips: list[np.ndarray] = []
    for probe in made.probes:
        there = judge.clip(*[probe.concept] * 3)
        if probe.is_target:  # forgotten in the first pair, one frame too many in the second
            first = probe is made.probes[0]
            clips += [there, judge.clip(None, None, None if first else probe.concept)]
        else:  # a third of the frames is not enough to have kept it
            clips += [there, judge.clip(probe.concept, None, None) if probe.same_kind else there]
    measures = made.measure(clips, judge)
    assert (measures["base_rate"], measures["forget_rate"], measures["forget_n"]) == (1.0, 0.5, 2)
    assert (measures["retain_rate"], measures["base_retain_rate"]) == (0.5, 1.0)
    assert (measures["retain_same_kind_rate"], measures["retain_other_kinds_rate"]) == (0.0, 1.0)
    low, high = measures["forget_interval"]
    assert low < 0.5 < high
    with pytest.raises(ValueError, match="clips"):
        made.measure(clips[1:], judge)


def test_the_gate_says_why() -> None:
    good = {"base_rate": 1.0, "forget_rate": 0.95, "retain_rate": 0.9, "base_retain_rate": 0.95}
    assert Gate().failures(good) == []
    assert "gone from only 50%" in Gate().failures({**good, "forget_rate": 0.5})[0]
    assert "lost from 45%" in Gate().failures({**good, "retain_rate": 0.5})[0]
    assert "only 20%" in Gate().failures({**good, "base_rate": 0.2})[0]


def test_a_concept_the_judge_was_not_taught_cannot_be_judged(book: PromptBook) -> None:
    with pytest.raises(NothingToJudge, match="zebra"):
        plan(book, "zebra", "object")


def test_rules_and_intervals() -> None:
    assert any_frame([False, True])
    assert not most_frames([True, False])
    assert most_frames([True, True, False])
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == pytest.approx(1.0)
