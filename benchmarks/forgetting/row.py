"""One method's figures over some concepts: a row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.forgetting import figures
from benchmarks.forgetting.bench import BASE, Bench, Model, Sizes
from benchmarks.forgetting.cases import KIND_OF, Group
from benchmarks.forgetting.methods import FOUR
from benchmarks.forgetting.outcomes import Outcome
from encoders.overrides_file import to_bytes

Row = dict[str, Any]


class Reader:
    """Asks for outcomes of several concepts at once; what is missing is made."""

    def __init__(self, bench: Bench, concepts: Sequence[str]) -> None:
        self._bench = bench
        self.concepts = concepts

    def pooled(
        self, method: str, group: Group, count: int, *, moving: bool, model: Model = "starter"
    ) -> list[Outcome]:
        """The outcomes of a group of prompts, `count` a concept. Whatever is about a motion takes
        clips."""
        return [
            one
            for concept in self.concepts
            for one in self._bench.outcomes(
                method,
                concept,
                group,
                count,
                moving=moving or (KIND_OF[concept] == "motion" and group != "other kinds"),
                model=model,
            )
        ]


def row(bench: Bench, method: str, concepts: Sequence[str], sizes: Sizes) -> Row:
    """Everything measured of a method, paired with the base by prompt and seed."""
    read = Reader(bench, concepts)
    by, base = (
        {
            "target clips": read.pooled(who, "target", sizes.target_clips, moving=True),
            "target stills": read.pooled(who, "target", sizes.target_stills, moving=False),
            "wording": read.pooled(who, "wording", sizes.wording, moving=False),
            "same kind": read.pooled(who, "same kind", sizes.kept, moving=False),
            "other kinds": read.pooled(who, "other kinds", sizes.kept, moving=False),
            "neighbours": read.pooled(who, "neighbours", sizes.neighbours, moving=False),
            "same kind, clips": read.pooled(who, "same kind", sizes.kept_clips, moving=True),
            "other kinds, clips": read.pooled(who, "other kinds", sizes.kept_clips, moving=True),
        }
        for who in (method, BASE)
    )
    shown = [now for now, was in zip(by["wording"], base["wording"], strict=True) if was.any]
    found: Row = {
        "base shows it": {**_seen(base["target clips"])},
        "UA": figures.forgotten(by["target clips"]),
        "UA, stills": figures.forgotten(by["target stills"]),
        "UA, wordings": figures.forgotten(shown),
        "curve": figures.curve(by["target clips"]),
        "curve, base": figures.curve(base["target clips"]),
        "moved": _moved(by["same kind, clips"], base["same kind, clips"]),
    }
    for group in ("same kind", "other kinds", "neighbours"):
        found[f"lost, {group}"] = _lost(base[group], by[group])
        found[f"kept, {group}"] = figures.kept(by[group])
    for group in ("same kind, clips", "other kinds, clips"):
        found[f"lost, {group}"] = _lost(base[group], by[group])
    rest = ("same kind", "other kinds")
    found["valid"] = figures.valid([one for group in rest for one in by[group]])
    found["valid, base"] = figures.valid([one for group in rest for one in base[group]])
    found["features"] = np.array([one.features for group in rest for one in by[group]])
    interventions = [bench.intervention(method, concept) for concept in concepts]
    made = [one for one in interventions if one is not None]
    if made:
        found["seconds"] = round(float(np.mean([one.seconds for one in made])), 2)
        found["bytes"] = [len(to_bytes(one.overrides)) for one in made if one.overrides]
    return found


def composed(bench: Bench, concepts: Sequence[str], sizes: Sizes) -> Row:
    """F7: four concepts of four kinds in one encoder; of the rest, what is of the same kind."""
    read = Reader(bench, concepts)
    clips = read.pooled(FOUR, "target", sizes.target_clips, moving=True)
    base = read.pooled(BASE, "same kind", sizes.kept, moving=False)
    now = read.pooled(FOUR, "same kind", sizes.kept, moving=False)
    return {"UA": figures.forgotten(clips), "lost, same kind": _lost(base, now)}


def transfer(bench: Bench, method: str, concepts: Sequence[str], sizes: Sizes) -> Row:
    """F4: forgetting on the twin's stills and on the clips of the model trained apart, by frames;
    only where the base shows the concept, since the two models differ in how well they draw it."""
    read = Reader(bench, concepts)
    stills = read.pooled(method, "target", sizes.target_stills, moving=False)
    stills0 = read.pooled(BASE, "target", sizes.target_stills, moving=False)
    clips = read.pooled(method, "target", sizes.apart_clips, moving=True, model="apart")
    clips0 = read.pooled(BASE, "target", sizes.apart_clips, moving=True, model="apart")
    twin = figures.forgotten_frames(
        [now for now, was in zip(stills, stills0, strict=True) if was.any]
    )
    apart = figures.forgotten_frames(
        [now for now, was in zip(clips, clips0, strict=True) if was.most]
    )
    return {
        "UA, twin": twin,
        "UA, apart": apart,
        "base shows it, apart": figures.kept(clips0),
        "gap": round(twin["rate"] - apart["rate"], 4),
    }


def _seen(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return figures.rate(sum(one.any for one in outcomes), len(outcomes))


def _lost(base: Sequence[Outcome], now: Sequence[Outcome]) -> dict[str, Any]:
    return figures.lost([one.most for one in base], [one.most for one in now])


def _moved(now: Sequence[Outcome], base: Sequence[Outcome]) -> float | None:
    """How much the kept clips move, against the base's."""
    before = sum(one.moved for one in base)
    return round(sum(one.moved for one in now) / before, 3) if before else None
