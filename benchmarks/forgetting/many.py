"""Goal F10: many concepts forgotten at once, by each method that takes several.

A method is a row of the table: a function from concepts to one intervention (`ROWS`). Its figures
are those of stills, except where a motion is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.forgetting import metrics
from benchmarks.forgetting.baselines.null_space import speed_edit
from benchmarks.forgetting.baselines.uce import uce_edit
from benchmarks.forgetting.cases import Case, Group, kept_cases, target_cases
from benchmarks.forgetting.composed import order
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.outcomes import SampleOutcome
from benchmarks.forgetting.sets import (
    Maker,
    Members,
    at_once,
    chain,
    closed_form,
    composed_of,
    merged_of,
)
from encoders import Kind
from encoders.overrides_file import to_bytes
from unlearn.prompts import all_names, mentions
from video.models.backbone import Backbone
from video.models.prompt_book import PromptBook

MEMBERS = (*order(), "cactus")
"""The concepts, of each kind in turn. The first n are the set of n, so that the sets are nested."""
COUNTS = (1, 2, 4, 8, 16)
"""Numbers of concepts in a set."""
COARSE_COUNTS = (2, 4)
TRAINED = ("at once", "chain")
"""The rows that train an encoder for the set."""
_KEPT: tuple[Group, ...] = ("same kind", "other kinds")


@dataclass(frozen=True)
class ManySizes:
    """Pictures for each concept of a set. Prompts about a motion take clips."""

    target: int = 24
    target_motions: int = 4
    kept: int = 12
    """Pictures of concepts outside the set, for each of the two groups: the concept's kind and
    other kinds."""
    kept_motions: int = 4
    """The same for clips of other motions."""


COARSE_MANY = ManySizes(target=2, target_motions=1, kept=2, kept_motions=1)


ROWS: Mapping[str, Maker] = {
    "UCE": closed_form("UCE", uce_edit),
    "SPEED": closed_form("SPEED", speed_edit),
    "composed": composed_of,
    "merged": merged_of,
    "at once": at_once,
    "chain": chain,
}
"""The methods by their names in the table."""


def many(
    experiment: Experiment, sizes: ManySizes, counts: Sequence[int], rows: Sequence[str]
) -> dict[str, Any]:
    """Measure sets of concepts: by number of concepts, then by method."""
    found: dict[str, Any] = {}
    for count in counts:
        members = members_of(count, experiment.backbone.prompts)
        methods: dict[str, Any] = {}
        for row in rows:
            methods[row] = evaluate_many(experiment, ROWS[row], members, sizes)
            print(f"{row}, {count} concepts: {methods[row]}", flush=True)
        found[str(count)] = {"concepts": [name for name, _ in members], "methods": methods}
    return found


def members_of(count: int, book: PromptBook) -> list[tuple[str, Kind]]:
    """Return the set of `count` concepts."""
    kinds: dict[str, Kind] = {name: kind for kind, names in book.concepts.items() for name in names}
    return [(name, kinds[name]) for name in MEMBERS[:count]]


def evaluate_many(
    experiment: Experiment, make: Maker, members: Members, sizes: ManySizes
) -> dict[str, Any]:
    """Return a method's figures on one set, paired with the base by prompt and seed.

    The harmonic mean is of UA and of the share of other concepts that are kept, as in MACE (Lu et
    al. 2024, arXiv 2403.06135) and SPEED.
    """
    made = make(experiment, members)
    targets = {name: _targets(experiment, made, (name, kind), sizes) for name, kind in members}
    by_concept = {name: metrics.forgotten(seen) for name, seen in targets.items()}
    found: dict[str, Any] = {
        "UA": metrics.forgotten([one for seen in targets.values() for one in seen]),
        "UA, least": min(by_concept.values(), key=lambda one: one["rate"]),
        "UA, by concept": by_concept,
    }
    everything: list[SampleOutcome] = []
    everything0: list[SampleOutcome] = []
    for group in _KEPT:
        now, base = (_kept(experiment, who, members, group, sizes) for who in (made, None))
        found[f"kept, {group}"] = metrics.kept(now)
        found[f"kept, {group}, base"] = metrics.kept(base)
        found[f"lost, {group}"] = metrics.kept_drop(base, now)
        everything += now
        everything0 += base
    found["valid"] = metrics.valid(everything)
    found["lost, valid"] = metrics.valid_drop(everything0, everything)
    found["harmonic"] = round(
        metrics.harmonic_mean(found["UA"]["rate"], metrics.kept(everything)["rate"]), 4
    )
    found["seconds"] = round(made.seconds, 2)
    found["bytes"] = len(to_bytes(made.tensors))
    return found


def kept_of(
    member: tuple[str, Kind], members: Members, group: Group, backbone: Backbone
) -> Iterator[Case]:
    """Return endless cases of concepts outside the set, whose prompts mention none of the set.

    They are a member's own cases (`kept_cases`), without those about the other members.
    """
    concept, kind = member
    inside = {name for name, _ in members}
    names = [name for one, its in members for name in all_names(one, its, (), backbone.prompts)]
    return (
        case
        for case in kept_cases(concept, kind, group, backbone, is_video=_moves(kind, group))
        if case.concept not in inside and not mentions(case.prompt, names)
    )


def _moves(kind: Kind, group: Group) -> bool:
    """Return True if a group of prompts is judged on clips."""
    return kind == "motion" and group != "other kinds"


def _targets(
    experiment: Experiment, made: Intervention, member: tuple[str, Kind], sizes: ManySizes
) -> list[SampleOutcome]:
    """Return outcomes of prompts that name one of the set."""
    concept, kind = member
    is_video = kind == "motion"
    count = sizes.target_motions if is_video else sizes.target
    asked = target_cases(concept, kind, experiment.backbone.prompts, is_video=is_video)
    return experiment.judged(_list(concept, "target", is_video), asked, count, made)


def _kept(
    experiment: Experiment,
    made: Intervention | None,
    members: Members,
    group: Group,
    sizes: ManySizes,
) -> list[SampleOutcome]:
    """Return outcomes of prompts that name concepts outside the set, as many for each member."""
    found: list[SampleOutcome] = []
    for concept, kind in members:
        is_video = _moves(kind, group)
        count = sizes.kept_motions if is_video else sizes.kept
        asked = kept_of((concept, kind), members, group, experiment.backbone)
        found += experiment.judged(_list(concept, group, is_video), asked, count, made)
    return found


def _list(concept: str, group: Group, is_video: bool) -> str:
    """Return the name of a list of cases, the same as in `Experiment.outcomes`."""
    return f"{concept}/{group}-{'clips' if is_video else 'stills'}"
