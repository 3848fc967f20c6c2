"""The parts of the comparison: what is asked of which methods and concepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.forgetting import figures
from benchmarks.forgetting.attacks import ATTACKS
from benchmarks.forgetting.bench import BASE, Bench
from benchmarks.forgetting.methods import COMPARED, OURS, VARIANTS
from benchmarks.forgetting.outcomes import features
from benchmarks.forgetting.row import Reader, Row, attacked, composed, row, transfer
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
class Wanted:
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


def table(bench: Bench, wanted: Wanted) -> dict[str, Any]:
    """F1 to F3, F5, F8: every method by kind, and the floor of the Fréchet distance."""
    renders = COARSE_RENDERS if wanted.quick else RENDERS
    frechet = None if wanted.methods else _frechet(bench, renders)
    found: dict[str, Any] = {"floor": frechet.floor(FLOOR) if frechet else None, "methods": {}}
    for kind, names in wanted.concepts.items():
        for method in wanted.compared() if names else ():
            sizes = COARSE if wanted.quick else FULL if method == OURS else BASELINE
            one = row(bench, method, names, sizes)
            seen = one.pop("features")
            one["Fréchet"] = frechet.distance(seen) if frechet else None
            found["methods"].setdefault(method, {})[kind] = one
            _say(f"{method}, {kind}: UA {one['UA']}")
    return found


def four(bench: Bench, wanted: Wanted) -> dict[str, Any]:
    """F7, by kind."""
    return {
        kind: composed(bench, names, replace(BASELINE, decide=False))
        for kind, names in wanted.concepts.items()
        if kind != "motion" and names
    }


def apart(bench: Bench, wanted: Wanted) -> dict[str, Any]:
    """F4, by kind. An image twin shows no motion to compare with."""
    return {
        kind: transfer(bench, OURS, names, FULL)
        for kind, names in wanted.concepts.items()
        if kind != "motion" and names
    }


def attacks(bench: Bench, wanted: Wanted) -> dict[str, Any]:
    """F6: all attacks on ours, for every concept that a still shows and one motion; the same on
    ascent, and one on everything else, for one concept a kind. On the base, what the attack on an
    embedding is worth where nothing stands against it.
    """
    every = [n for kind, names in wanted.concepts.items() if kind != "motion" for n in names]
    motions = list(wanted.concepts["motion"][:1])
    plans: list[tuple[str, str, list[str]]] = [(BASE, "pseudo-token", wanted.first())]
    for method in wanted.compared():
        if method == OURS:
            plans += [(OURS, attack, every + motions) for attack in BOUNDED]
            plans += [(OURS, attack, wanted.first()) for attack in ATTACKS if attack not in BOUNDED]
        else:
            chosen = BOUNDED if method == "ascent" else (COMMON,)
            plans += [(method, attack, wanted.first()) for attack in chosen]
    found: dict[str, dict[str, Row]] = {}
    for method, attack, concepts in plans:
        if concepts:
            one = attacked(bench, method, attack, concepts, BASELINE)
            found.setdefault(method, {})[attack] = one
            _say(f"{method}, {attack}: {one}")
    return found


def floor(bench: Bench, wanted: Wanted) -> dict[str, Any]:
    """How many clips show nothing of the concept, in the judge's eyes, where nothing of it was
    asked for: the kind's generic word in its name's place, and nothing done to the model. No method
    can be measured to forget much more. Of the kinds that a still shows.
    """
    return {
        kind: {"UA": figures.forgotten(Reader(bench, names, FULL).clips(WITHOUT))}
        for kind, names in wanted.concepts.items()
        if kind != "motion" and names
    }


def ablation(bench: Bench, wanted: Wanted) -> dict[str, Any]:
    """Ours at its defaults and with one thing different, on stills, for one concept a kind."""
    concepts = wanted.first()
    found: dict[str, Row] = {}
    for method in (OURS, *(f"{OURS}, {name}" for name in VARIANTS)) if concepts else ():
        found[method] = row(bench, method, concepts, VARIANT)
        del found[method]["features"]
        found[method]["attacked"] = attacked(bench, method, COMMON, concepts, BASELINE)
        _say(f"{method}: {found[method]}")
    return found


PARTS: Mapping[str, Callable[[Bench, Wanted], dict[str, Any]]] = {
    "table": table,
    "four": four,
    "apart": apart,
    "attacks": attacks,
    "floor": floor,
    "ablation": ablation,
}


def _frechet(bench: Bench, renders: int) -> figures.Frechet:
    """Distances to renders of random scenes."""
    rng = np.random.default_rng(2_027)
    frames = [sample_scene(rng).frame(float(rng.random())) for _ in range(renders)]
    found = [
        one
        for start in range(0, renders, 100)
        for one in features(bench.judge, np.stack(frames[start : start + 100]))
    ]
    return figures.Frechet(np.array(found))


def _say(line: str) -> None:
    print(line, flush=True)
