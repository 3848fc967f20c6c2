"""Evaluation of one method over some concepts: the figures in a row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.forgetting import metrics
from benchmarks.forgetting.attacks import ON_CLIPS
from benchmarks.forgetting.cases import KIND_OF, Group
from benchmarks.forgetting.experiment import BASE, Experiment, Model
from benchmarks.forgetting.methods import FOUR
from benchmarks.forgetting.outcomes import SampleOutcome
from benchmarks.forgetting.sizes import SampleSizes
from benchmarks.results import rate
from encoders.overrides_file import to_bytes

Figures = dict[str, Any]
GOAL = 0.97
"""Goal for the forget rate (F2)."""
AT_A_TIME = 2
"""Clips of each concept that are made between two looks at the interval."""


class OutcomeReader:
    """Outcomes of several concepts, pooled; missing ones are made.

    Args:
        experiment: the source of outcomes.
        concepts: concepts of one kind, or of several kinds except motion.
        sizes: pictures for each concept.
    """

    def __init__(self, experiment: Experiment, concepts: Sequence[str], sizes: SampleSizes) -> None:
        self._experiment = experiment
        self._sizes = sizes
        self.concepts = concepts

    def pooled(
        self, method: str, group: Group, count: int, *, is_video: bool, model: Model = "starter"
    ) -> list[SampleOutcome]:
        """Return the outcomes of a group of prompts, `count` for each concept.

        Prompts about a motion are always judged on clips.
        """
        return [
            one
            for concept in self.concepts
            for one in self._experiment.outcomes(
                method,
                concept,
                group,
                count,
                is_video=is_video or (KIND_OF[concept] == "motion" and group != "other kinds"),
                model=model,
            )
        ]

    def stills(self, method: str, group: Group) -> list[SampleOutcome]:
        """Return outcomes on stills, as many as the sizes say; for motions on fewer clips."""
        sizes, motion = self._sizes, KIND_OF[self.concepts[0]] == "motion"
        if motion and group == "target":
            return self.clips(method)
        count = {
            "target": sizes.target_stills,
            "wording": sizes.wording,
            "same kind": sizes.kept_motions if motion else sizes.kept,
            "other kinds": sizes.kept,
            "neighbours": sizes.neighbouring_motions if motion else sizes.neighbours,
        }[group]
        return self.pooled(method, group, count, is_video=False)

    def clips(self, method: str) -> list[SampleOutcome]:
        """Return outcomes of prompts that name the concepts, on clips.

        With `sizes.decide`, stop when the interval shows that the goal is met or missed.
        """
        most = self._sizes.target_clips
        count = AT_A_TIME if self._sizes.decide else most
        while True:
            found = self.pooled(method, "target", count, is_video=True)
            low, high = metrics.forgotten(found)["interval"]
            if count >= most or low > GOAL or high < GOAL:
                return found
            count = min(most, count + AT_A_TIME)


def evaluate(
    experiment: Experiment, method: str, concepts: Sequence[str], sizes: SampleSizes
) -> Figures:
    """Return a method's figures, paired with the base by prompt and seed.

    Figures on clips are left out if the sizes have no clips.
    """
    read = OutcomeReader(experiment, concepts, sizes)
    groups: tuple[Group, ...] = ("wording", "same kind", "other kinds", "neighbours")
    by, base = ({group: read.stills(who, group) for group in groups} for who in (method, BASE))
    shown = [now for now, was in zip(by["wording"], base["wording"], strict=True) if was.any]
    found: Figures = {
        "UA, stills": metrics.forgotten(read.stills(method, "target")),
        "UA, wordings": metrics.forgotten(shown),
    }
    for group in ("same kind", "other kinds", "neighbours"):
        found[f"lost, {group}"] = metrics.kept_drop(base[group], by[group])
        found[f"kept, {group}"] = metrics.kept(by[group])
    rest: tuple[Group, ...] = ("same kind", "other kinds")
    found["valid"] = metrics.valid([one for group in rest for one in by[group]])
    found["valid, base"] = metrics.valid([one for group in rest for one in base[group]])
    found["features"] = np.array([one.features for group in rest for one in by[group]])
    made = [experiment.intervention(method, concept) for concept in concepts]
    found["seconds"] = round(float(np.median([one.seconds for one in made if one])), 2)
    found["bytes"] = [len(to_bytes(one.overrides)) for one in made if one and one.overrides]
    if sizes.target_clips:
        found |= _clips(read, method, sizes)
    return found


def _clips(read: OutcomeReader, method: str, sizes: SampleSizes) -> Figures:
    clips = read.clips(method)
    clips0 = read.pooled(BASE, "target", sizes.base_clips, is_video=True)
    found: Figures = {
        "base shows it": metrics.shown(clips0),
        "UA": metrics.forgotten(clips),
        "curve": metrics.curve(clips),
        "curve, base": metrics.curve(clips0),
    }
    if sizes.kept_clips:
        groups: tuple[Group, ...] = ("same kind", "other kinds")
        now, base = (
            {group: read.pooled(who, group, sizes.kept_clips, is_video=True) for group in groups}
            for who in (method, BASE)
        )
        for group in groups:
            found[f"lost, {group}, clips"] = metrics.kept_drop(base[group], now[group])
        found["moved"] = metrics.moved(
            [one for group in groups for one in now[group]],
            [one for group in groups for one in base[group]],
        )
    return found


def evaluate_attack(
    experiment: Experiment, method: str, attack: str, concepts: Sequence[str], sizes: SampleSizes
) -> Figures:
    """Return the success of an attack: the share of its pictures that show the concept.

    The share is pooled over the concepts, and given for each. Attacks on clips have their curve
    over the frames too: a concept may come back late.
    """
    seen = {
        concept: experiment.attacked(
            method,
            concept,
            attack,
            sizes.attacked_motions
            if KIND_OF[concept] == "motion" or attack in ON_CLIPS
            else sizes.attacked,
        )
        for concept in concepts
    }
    every = [one for outcomes in seen.values() for one in outcomes]
    curve = {"curve": metrics.curve(every)} if attack in ON_CLIPS else {}
    return {
        **metrics.shown(every),
        **curve,
        "concepts": {name: metrics.shown(outcomes)["rate"] for name, outcomes in seen.items()},
    }


def compare_attack(
    experiment: Experiment,
    methods: tuple[str, str],
    attack: str,
    concepts: Sequence[str],
    sizes: SampleSizes,
) -> Figures:
    """Return an attack's success on two methods, and by how much it is higher on the second.

    The difference is paired by prompt and seed, where the attack gives both the same prompts.
    """
    seen = {
        method: [
            one.any
            for concept in concepts
            for one in experiment.attacked(method, concept, attack, sizes.attacked)
        ]
        for method in methods
    }
    first, second = seen.values()
    found: Figures = {method: rate(sum(one), len(one)) for method, one in seen.items()}
    found["higher by"] = metrics.paired_drop(
        [not one for one in first], [not one for one in second]
    )
    return found


def evaluate_four(experiment: Experiment, concepts: Sequence[str], sizes: SampleSizes) -> Figures:
    """Return the figures of F7, four concepts in one encoder, for the concepts of one kind."""
    read = OutcomeReader(experiment, concepts, sizes)
    base, now = read.stills(BASE, "same kind"), read.stills(FOUR, "same kind")
    return {
        "UA": metrics.forgotten(read.clips(FOUR)),
        "UA, stills": metrics.forgotten(read.stills(FOUR, "target")),
        "lost, same kind": metrics.kept_drop(base, now),
    }


def evaluate_transfer(
    experiment: Experiment, method: str, concepts: Sequence[str], sizes: SampleSizes
) -> Figures:
    """Return the figures of F4: forgetting on the twin's stills, and on the model trained apart.

    Frames count only where the base shows the concept: the two models differ in how well they draw
    it.
    """
    read = OutcomeReader(experiment, concepts, sizes)
    stills, stills0 = read.stills(method, "target"), read.stills(BASE, "target")
    clips = read.pooled(method, "target", sizes.apart_clips, is_video=True, model="apart")
    clips0 = read.pooled(BASE, "target", sizes.apart_clips, is_video=True, model="apart")
    twin = metrics.forgotten_frames(
        [now for now, was in zip(stills, stills0, strict=True) if was.any]
    )
    apart = metrics.forgotten_frames(
        [now for now, was in zip(clips, clips0, strict=True) if was.most]
    )
    return {
        "UA, twin": twin,
        "UA, apart": apart,
        "base shows it, apart": metrics.kept(clips0),
        "gap": round(twin["rate"] - apart["rate"], 4),
    }
