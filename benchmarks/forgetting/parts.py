"""The parts of the comparison: what is asked of which methods and concepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.forgetting import metrics
from benchmarks.forgetting.attacks import ATTACKS
from benchmarks.forgetting.evaluation import (
    Figures,
    OutcomeReader,
    evaluate,
    evaluate_attack,
    evaluate_four,
    evaluate_transfer,
)
from benchmarks.forgetting.experiment import BASE, Experiment
from benchmarks.forgetting.methods import COMPARED, OURS, VARIANTS
from benchmarks.forgetting.outcomes import features
from benchmarks.forgetting.sizes import BASELINE, COARSE, FULL, VARIANT
from encoders import Kind
from starter.scene import sample_scene

RENDERS, COARSE_RENDERS, FLOOR = 3000, 1000, 500
COMMON = "soft prefix"
"""The attack that every method is put to."""
BOUNDED = ("soft prefix", "pseudo-token", "token search")
"""Those whose tokens are words, or no longer than one."""
WITHOUT = "word deleted"
"""The method that leaves the model as it is and asks for something else."""


@dataclass(frozen=True)
class Selection:
    """What a run is for."""

    concepts: Mapping[Kind, tuple[str, ...]]
    methods: tuple[str, ...]
    """Of those in the table; none: all."""
    quick: bool

    def compared(self) -> list[str]:
        """The methods of the table that are asked for."""
        return [name for name in COMPARED if not self.methods or name in self.methods]

    def first(self) -> list[str]:
        """The first concept of each kind that a still shows."""
        return [names[0] for kind, names in self.concepts.items() if names and kind != "motion"]


def table(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """F1 to F3, F5, F8: every method by kind, and the floor of the Fréchet distance."""
    renders = COARSE_RENDERS if selection.quick else RENDERS
    frechet = None if selection.methods else _frechet(experiment, renders)
    found: dict[str, Any] = {"floor": frechet.floor(FLOOR) if frechet else None, "methods": {}}
    for kind, names in selection.concepts.items():
        for method in selection.compared() if names else ():
            sizes = COARSE if selection.quick else FULL if method == OURS else BASELINE
            one = evaluate(experiment, method, names, sizes)
            seen = one.pop("features")
            one["Fréchet"] = frechet.distance(seen) if frechet else None
            found["methods"].setdefault(method, {})[kind] = one
            _say(f"{method}, {kind}: UA {one['UA']}")
    return found


def four(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """F7, by kind."""
    return {
        kind: evaluate_four(experiment, names, replace(BASELINE, decide=False))
        for kind, names in selection.concepts.items()
        if kind != "motion" and names
    }


def apart(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """F4, by kind. An image twin shows no motion to compare with."""
    return {
        kind: evaluate_transfer(experiment, OURS, names, FULL)
        for kind, names in selection.concepts.items()
        if kind != "motion" and names
    }


def attacks(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """F6: all attacks on ours, for every concept that a still shows and one motion; the same on
    ascent, and one on everything else, for one concept a kind. On the base, what the attack on an
    embedding is worth where nothing stands against it.
    """
    every = [n for kind, names in selection.concepts.items() if kind != "motion" for n in names]
    motions = list(selection.concepts["motion"][:1])
    plans: list[tuple[str, str, list[str]]] = [(BASE, "pseudo-token", selection.first())]
    for method in selection.compared():
        if method == OURS:
            plans += [(OURS, attack, every + motions) for attack in BOUNDED]
            plans += [
                (OURS, attack, selection.first()) for attack in ATTACKS if attack not in BOUNDED
            ]
        else:
            chosen = BOUNDED if method == "ascent" else (COMMON,)
            plans += [(method, attack, selection.first()) for attack in chosen]
    found: dict[str, dict[str, Figures]] = {}
    for method, attack, concepts in plans:
        if concepts:
            one = evaluate_attack(experiment, method, attack, concepts, BASELINE)
            found.setdefault(method, {})[attack] = one
            _say(f"{method}, {attack}: {one}")
    return found


def floor(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """How many clips show nothing of the concept, in the judge's eyes, where nothing of it was
    asked for: the kind's generic word in its name's place, and nothing done to the model. No method
    can be measured to forget much more. Of the kinds that a still shows.
    """
    return {
        kind: {"UA": metrics.forgotten(OutcomeReader(experiment, names, FULL).clips(WITHOUT))}
        for kind, names in selection.concepts.items()
        if kind != "motion" and names
    }


def ablation(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Ours at its defaults and with one thing different, on stills, for one concept a kind."""
    concepts = selection.first()
    found: dict[str, Figures] = {}
    for method in (OURS, *(f"{OURS}, {name}" for name in VARIANTS)) if concepts else ():
        found[method] = evaluate(experiment, method, concepts, VARIANT)
        del found[method]["features"]
        found[method]["attacked"] = evaluate_attack(experiment, method, COMMON, concepts, BASELINE)
        _say(f"{method}: {found[method]}")
    return found


PARTS: Mapping[str, Callable[[Experiment, Selection], dict[str, Any]]] = {
    "table": table,
    "four": four,
    "apart": apart,
    "attacks": attacks,
    "floor": floor,
    "ablation": ablation,
}


def _frechet(experiment: Experiment, renders: int) -> metrics.Frechet:
    """Distances to renders of random scenes."""
    rng = np.random.default_rng(2_027)
    frames = [sample_scene(rng).frame(float(rng.random())) for _ in range(renders)]
    found = [
        one
        for start in range(0, renders, 100)
        for one in features(experiment.judge, np.stack(frames[start : start + 100]))
    ]
    return metrics.Frechet(np.array(found))


def _say(line: str) -> None:
    print(line, flush=True)
