"""Ways to measure how far an encoder moves a prompt: the ablation of the trigger's discriminant.

With each of them the threshold is set by the same rule, `ROOM` times the largest movement of a
retained caption. What differs is how many other captions stay below it, and how far above it the
concept's own prompts and wordings are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.forgetting.cases import (
    KIND_OF,
    Case,
    first,
    kept_cases,
    target_cases,
    wording_cases,
)
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.methods import OURS
from benchmarks.results import rate
from encoders import Concept
from encoders.trigger import movements
from unlearn import UnlearnTask
from unlearn.methods.anchors import concept_captions
from unlearn.methods.calibration import ROOM, SHRINKAGE, discriminant
from unlearn.prompts import names_of, retained_captions
from unlearn.settings import UnlearnSettings

OWN, OTHERS = 60, 150
"""Prompts of the concept, and of each group of others."""
_AT_A_TIME = 32


def measures_of_change(experiment: Experiment, concepts: Sequence[str]) -> dict[str, Any]:
    """Compare the measures on each concept's encoder."""
    found: dict[str, Any] = {}
    for concept in concepts:
        found[concept] = _compared(experiment, concept)
        print(f"{concept}, measures: {found[concept]}", flush=True)
    return found


def _compared(experiment: Experiment, concept: str) -> dict[str, Any]:
    backbone, kind = experiment.backbone, KIND_OF[concept]
    book = backbone.prompts
    made = experiment.intervention(OURS, concept)
    assert made is not None
    asked = Concept(name=concept, kind=kind)
    task = UnlearnTask((asked,), UnlearnSettings())

    def changes(prompts: Sequence[str]) -> Tensor:
        return _changes(experiment, prompts, made.overrides)

    own = changes([one.prompt for one in concept_captions(asked, task, backbone)[::4]])
    retained = changes(retained_captions(book, names_of(asked, book)))
    is_video = kind == "motion"
    groups: tuple[list[Case], ...] = tuple(
        first(kept_cases(concept, kind, group, backbone, is_video=True), OTHERS)
        for group in ("same kind", "other kinds")
    )
    others = changes(list(dict.fromkeys(one.prompt for some in groups for one in some)))
    named = changes(
        [one.prompt for one in first(target_cases(concept, kind, book, is_video=is_video), OWN)]
    )
    wordings = changes(
        [one.prompt for one in first(wording_cases(concept, kind, book, is_video=is_video), OWN)]
    )
    figures: dict[str, Any] = {}
    for name, measure in _measures(own, retained).items():
        threshold = ROOM * float(measure(retained).max())
        left = measure(others) < threshold
        figures[name] = {
            "left to the base": rate(int(left.sum()), len(left)),
            "least own prompt": round(float(measure(named).min()) / threshold, 2),
            "least wording": round(float(measure(wordings).min()) / threshold, 2),
        }
    return figures


def _measures(own: Tensor, retained: Tensor) -> Mapping[str, Callable[[Tensor], Tensor]]:
    """Return each measure: changes (B,L,D) → (B,)."""
    signal, noise = _moment(own), _moment(retained)
    size = len(noise)
    ball = SHRINKAGE * noise.trace() / size * torch.eye(size, dtype=noise.dtype)
    whitening = torch.linalg.inv(torch.linalg.cholesky(noise + ball)).float()
    directions = discriminant(signal, noise)
    return {
        "length": lambda change: change.square().sum(2).amax(1),
        "whitened": lambda change: movements(change, whitening),
        "discriminant": lambda change: movements(change, directions),
    }


def _moment(change: Tensor) -> Tensor:
    rows = change.flatten(0, 1).double()
    return rows.T @ rows / len(rows)


@torch.no_grad()
def _changes(
    experiment: Experiment, prompts: Sequence[str], overrides: Mapping[str, Tensor] | None
) -> Tensor:
    backbone = experiment.backbone
    found: list[Tensor] = []
    for start in range(0, len(prompts), _AT_A_TIME):
        tokens = backbone.tokenize(prompts[start : start + _AT_A_TIME])
        moved = backbone.text_encoder.encode(tokens, overrides).float()
        found.append(moved - backbone.text_encoder.encode(tokens).float())
    return torch.cat(found)
