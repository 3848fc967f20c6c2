"""Goal F9: encoders that were made apart, composed for each request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, zip_longest
from typing import Any

import torch

from benchmarks.forgetting.cases import CONCEPTS, KIND_OF, Case, first, kept_cases, target_cases
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.forgetting.sets import member_of, single
from benchmarks.results import rate
from encoders.composition import Member, set_identity
from unlearn.prompts import all_names, mentions
from video.models.backbone import Backbone

COUNTS = (2, 4, 6, 12)
"""Numbers of encoders in a set."""
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of every member's threshold: the curve over θ."""
_AT_A_TIME = 32
_TRIES = 20
"""Captions drawn for one that is wanted: most mention a member, if there are many."""


@dataclass(frozen=True)
class ComposedSizes:
    """Captions and pictures for each set of encoders."""

    captions: int = 400
    """Captions that mean none of the members."""
    named: int = 10
    """Pictures of each member's concept; of motions, clips."""
    pairs: int = 12
    """Pictures of two members' concepts in one prompt."""


def order() -> list[str]:
    """Return all concepts, one of each kind in turn: a set of any size has several kinds."""
    turns = chain.from_iterable(zip_longest(*CONCEPTS.values()))
    return [concept for concept in turns if concept is not None]


def composed(experiment: Experiment, sizes: ComposedSizes, counts: Sequence[int]) -> dict[str, Any]:
    """Measure sets of encoders: what stays the base's to the bit, and what is forgotten."""
    found: dict[str, Any] = {}
    for count in counts:
        members = {
            concept: member_of(single(experiment, concept, KIND_OF[concept]))
            for concept in order()[:count]
        }
        one = identity(experiment.backbone, members, sizes.captions)
        seen = _Pictures(experiment, members)
        named = [case for concept in members for case in _named(concept, sizes.named, experiment)]
        one["UA"] = seen.forgotten(named)
        one["UA, two in a prompt"] = seen.forgotten(_pairs(list(members), sizes.pairs))
        found[str(count)] = one
        print(f"{count} composed: {one}", flush=True)
    return found


@torch.no_grad()
def identity(backbone: Backbone, members: Mapping[str, Member], count: int) -> dict[str, Any]:
    """Return the share of captions whose embedding is the base's to the bit, as a curve over θ.

    The captions mention no name of a member's concept.
    """
    captions = list(dict.fromkeys(_captions(backbone, list(members), count)))
    ratios: list[float] = []
    for start in range(0, len(captions), _AT_A_TIME):
        tokens = backbone.tokenize(captions[start : start + _AT_A_TIME])
        base = backbone.text_encoder.encode(tokens)
        worst = [0.0] * len(tokens)
        for one in members.values():
            assert one.trigger is not None
            moved = backbone.text_encoder.encode(tokens, one.overrides)
            for i, other in enumerate(worst):
                row = slice(i, i + 1)
                worst[i] = max(other, one.trigger.movement(base[row], moved[row]))
        ratios += worst
    curve = {
        f"{factor:g}": rate(sum(ratio < factor for ratio in ratios), len(ratios))
        for factor in FACTORS
    }
    order_by = sorted(zip(ratios, captions, strict=True), reverse=True)
    opened = [caption for ratio, caption in order_by if ratio >= 1]
    return {"identity": curve["1"], "identity by θ": curve, "captions that open": opened[:5]}


class _Pictures:
    """Pictures by a set of encoders, judged for every member's concept; kept on disk."""

    def __init__(self, experiment: Experiment, members: Mapping[str, Member]) -> None:
        self._experiment = experiment
        self._members = members
        identity = str(set_identity([one.identity for one in members.values()]))
        name = identity.removeprefix("sha256:")[:16]
        self._path = experiment.work / "composed" / f"{name}.jsonl"

    def forgotten(self, cases: Sequence[Case]) -> dict[str, Any]:
        """Return the share of pictures in which no frame shows any member's concept."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        seen = {(one["prompt"], one["seed"]): one["shown"] for one in map(json.loads, lines)}
        for case in cases:
            if (case.prompt, case.seed) in seen:
                continue
            shown = self._shown(case)
            seen[case.prompt, case.seed] = shown
            with self._path.open("a") as file:
                entry = {"prompt": case.prompt, "seed": case.seed, "shown": shown}
                file.write(json.dumps(entry) + "\n")
        found = [seen[case.prompt, case.seed] for case in cases]
        figures = rate(sum(not shown for shown in found), len(found))
        return {**figures, "seen": sorted(set(chain.from_iterable(found)))}

    def _shown(self, case: Case) -> list[str]:
        """Return the members' concepts that any frame of the case's picture shows."""
        backbone, judge = self._experiment.backbone, self._experiment.judge
        encoder = backbone.prompt_encoder(list(self._members.values()), is_video=case.is_video)
        [frames] = sample(
            backbone,
            [SampleRequest(case.prompt, case.seed)],
            is_video=case.is_video,
            embed=encoder.encode,
        )
        return [
            concept
            for concept in self._members
            if (case.is_video or KIND_OF[concept] != "motion")
            and any(judge.shows(frames, concept, KIND_OF[concept]))
        ]


def _named(concept: str, count: int, experiment: Experiment) -> list[Case]:
    kind = KIND_OF[concept]
    book = experiment.backbone.prompts
    return first(target_cases(concept, kind, book, is_video=kind == "motion"), count)


def _pairs(concepts: Sequence[str], count: int) -> list[Case]:
    """Return stills that ask for two members' concepts at once, motions left out."""
    shown = [concept for concept in concepts if KIND_OF[concept] != "motion"]
    cases: list[Case] = []
    for seed, (one, other) in enumerate(combinations(shown, 2)):
        style = next((name for name in (one, other) if KIND_OF[name] == "style"), None)
        subject = other if style == one else one
        text = f"{one} and {other} in a meadow" if style is None else f"{subject} by {style}"
        cases.append(Case(text, 60_000 + seed, one, KIND_OF[one], is_video=False))
    return cases[:count]


def _captions(backbone: Backbone, concepts: Sequence[str], count: int) -> Iterator[str]:
    """Yield captions of other concepts, as many for each member."""
    book = backbone.prompts
    names = [name for one in concepts for name in all_names(one, KIND_OF[one], (), book)]
    seen: set[str] = set()
    for number, concept in enumerate(concepts):
        for group in ("same kind", "other kinds"):
            cases = kept_cases(concept, KIND_OF[concept], group, backbone, is_video=True)
            for case in islice(cases, _TRIES * count):
                if len(seen) >= count * (2 * number + 1 + (group == "other kinds")) // (
                    2 * len(concepts)
                ):
                    break
                if case.prompt not in seen and not mentions(case.prompt, names):
                    seen.add(case.prompt)
                    yield case.prompt
