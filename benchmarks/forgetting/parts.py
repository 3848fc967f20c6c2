"""The parts of the comparison: each measures some methods on some concepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.forgetting import metrics
from benchmarks.forgetting.attacks import ATTACKS
from benchmarks.forgetting.composed import COUNTS, ComposedSizes, composed
from benchmarks.forgetting.evaluation import (
    Figures,
    OutcomeReader,
    compare_attack,
    evaluate,
    evaluate_attack,
    evaluate_four,
    evaluate_transfer,
)
from benchmarks.forgetting.evasion import EvasionSizes, evasion
from benchmarks.forgetting.experiment import BASE, TRIGGERED, Experiment
from benchmarks.forgetting.languages import ENCODERS, languages
from benchmarks.forgetting.many import (
    COARSE_COUNTS,
    COARSE_MANY,
    ROWS,
    TRAINED,
    ManySizes,
    many,
    members_of,
)
from benchmarks.forgetting.many import COUNTS as MANY_COUNTS
from benchmarks.forgetting.measures_of_change import measures_of_change
from benchmarks.forgetting.methods import COMPARED, OURS, VARIANTS, WITHOUT_PICTURES
from benchmarks.forgetting.outcomes import features
from benchmarks.forgetting.set_pictures import save_sheet
from benchmarks.forgetting.siblings import ROWS as TEXT_ENCODERS
from benchmarks.forgetting.siblings import siblings
from benchmarks.forgetting.sizes import BASELINE, COARSE, FULL, THROUGH_TRIGGER, VARIANT
from benchmarks.forgetting.typed_evasion import COARSE_TYPED, TypedSizes, typed_evasion
from benchmarks.forgetting.unnamed import unnamed
from benchmarks.forgetting.ways import COARSE_WAYS, WaysSizes, ways
from benchmarks.forgetting.ways import CONCEPTS as WAYS_CONCEPTS
from encoders import Kind
from starter.scene import sample_scene

RENDERS, COARSE_RENDERS, FLOOR = 3000, 1000, 500
COMMON = "soft prefix"
"""The attack that runs on every method."""
BOUNDED = ("soft prefix", "pseudo-token", "token search")
"""The attacks whose tokens are words, or embeddings no longer than a word's."""
WITHOUT = "word deleted"
"""The method that leaves the model unchanged and rewrites the prompt."""


@dataclass(frozen=True)
class Selection:
    """The concepts and methods of a run."""

    concepts: Mapping[Kind, tuple[str, ...]]
    methods: tuple[str, ...]
    """Methods of the table; empty: all."""
    quick: bool
    only: tuple[str, ...] = ()
    """The only concepts of the parts that have a list of their own; empty: all."""

    def compared(self) -> list[str]:
        """Return the selected methods of the table."""
        return [name for name in COMPARED if not self.methods or name in self.methods]

    def first(self) -> list[str]:
        """Return the first concept of each kind except motion."""
        return [names[0] for kind, names in self.concepts.items() if names and kind != "motion"]


def table(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F1 to F3, F5 and F8: every method by kind, and the floor of the Fréchet distance."""
    renders = COARSE_RENDERS if selection.quick else RENDERS
    frechet = None if selection.only else _frechet(experiment, renders)
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
    """Measure F7 by kind."""
    return {
        kind: evaluate_four(experiment, names, replace(BASELINE, decide=False))
        for kind, names in selection.concepts.items()
        if kind != "motion" and names
    }


def apart(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F4 by kind, without motions: an image twin shows none."""
    return {
        kind: evaluate_transfer(experiment, OURS, names, FULL)
        for kind, names in selection.concepts.items()
        if kind != "motion" and names
    }


def attacks(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F6, the attacks.

    On ours: the bounded attacks for every concept except motions and for one motion, the others for
    one concept of each kind. On ascent: the bounded attacks; on every other method: one attack;
    each for one concept of each kind. On the base: the pseudo-token, which shows the attack's
    success without any defence.
    """
    every = [n for kind, names in selection.concepts.items() if kind != "motion" for n in names]
    motions = list(selection.concepts["motion"][:1])
    plans: list[tuple[str, str, list[str]]] = [(BASE, "pseudo-token", selection.first())]
    for method in selection.compared():
        if method == OURS:
            plans += [(OURS, attack, every + motions) for attack in BOUNDED]
            # Those of the papers are slow: on clips, or a search for each picture.
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
    """Measure UA where the concept was not asked for: the highest UA that the judge can measure.

    The prompts have the kind's generic word instead of the concept's name, and the model is
    unchanged. Motions are left out.
    """
    return {
        kind: {"UA": metrics.forgotten(OutcomeReader(experiment, names, FULL).clips(WITHOUT))}
        for kind, names in selection.concepts.items()
        if kind != "motion" and names
    }


def ablation(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure our method and its variants on stills, for one concept of each kind."""
    concepts = selection.first()
    found: dict[str, Figures] = {}
    variants = (WITHOUT_PICTURES, *VARIANTS)
    for method in (OURS, *(f"{OURS}, {name}" for name in variants)) if concepts else ():
        found[method] = evaluate(experiment, method, concepts, VARIANT)
        del found[method]["features"]
        found[method]["attacked"] = evaluate_attack(experiment, method, COMMON, concepts, BASELINE)
        _say(f"{method}: {found[method]}")
    return found


def composition(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F9: sets of encoders that were made apart."""
    if selection.quick:
        return composed(experiment, ComposedSizes(captions=400, named=2, pairs=3), COUNTS[:2])
    return composed(experiment, ComposedSizes(), COUNTS)


def evaded(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure the part of F9 that is an attacker who knows the trigger and may send embeddings."""
    sizes = EvasionSizes(starts=4, steps=60) if selection.quick else EvasionSizes()
    return evasion(experiment, sizes, selection.first())


def triggered(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F2, F3 and F6 of encoders that go by their triggers, paired with always on.

    Motions are left out. The attacks are the bounded ones, on one concept of each kind.
    """
    found: dict[str, Any] = {"kinds": {}, "attacks": {}}
    for kind, names in selection.concepts.items():
        if kind != "motion" and names:
            one = evaluate(experiment, TRIGGERED, names, THROUGH_TRIGGER)
            del one["features"]
            found["kinds"][kind] = one
            _say(f"{TRIGGERED}, {kind}: UA {one['UA, stills']}")
    for attack in BOUNDED:
        found["attacks"][attack] = compare_attack(
            experiment, (OURS, TRIGGERED), attack, selection.first(), BASELINE
        )
        _say(f"{TRIGGERED}, {attack}: {found['attacks'][attack]}")
    return found


def typed(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure the part of F9 that is an attacker who knows the trigger and may only type."""
    sizes = COARSE_TYPED if selection.quick else TypedSizes()
    return typed_evasion(experiment, sizes, selection.first())


def measured(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Compare ways to measure a change: the ablation of the trigger."""
    return measures_of_change(experiment, selection.first())


def many_at_once(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F10: 1 to 16 concepts forgotten at once."""
    rows = [name for name in ROWS if not selection.methods or name in selection.methods]
    if selection.quick:
        return many(experiment, COARSE_MANY, COARSE_COUNTS, [r for r in rows if r not in TRAINED])
    return many(experiment, ManySizes(), MANY_COUNTS, rows)


def other_text_encoders(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F11: the same defaults on other text encoders."""
    names = [one for one in TEXT_ENCODERS if not selection.methods or one in selection.methods]
    return siblings(experiment, selection.first(), names)


def other_languages(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure if what is forgotten in English is forgotten in German, on the bilingual sibling."""
    names = [one for one in ENCODERS if not selection.methods or one in selection.methods]
    return languages(experiment, selection.first(), names)


def unlisted(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F12: prompts that draw a forgotten concept without naming it."""
    chosen = [name for name in WAYS_CONCEPTS if not selection.only or name in selection.only]
    if selection.quick:
        return ways(experiment, COARSE_WAYS, chosen[:1])
    return ways(experiment, WaysSizes(), chosen)


def pictures(experiment: Experiment, selection: Selection) -> dict[str, Any]:
    """Measure F13: pictures without a name."""
    return unnamed(experiment, 2 if selection.quick else 10)


def save_many_sheet(experiment: Experiment, folder: Path) -> Path:
    """Write pictures by every method of F10, at its largest number of concepts."""
    members = members_of(MANY_COUNTS[-1], experiment.backbone.prompts)
    rows = [None, *(make(experiment, members) for make in ROWS.values())]
    return save_sheet(experiment, members, rows, folder / "forgetting" / "many.png")


PARTS: Mapping[str, Callable[[Experiment, Selection], dict[str, Any]]] = {
    "table": table,
    "four": four,
    "apart": apart,
    "attacks": attacks,
    "floor": floor,
    "ablation": ablation,
    "composition": composition,
    "triggered": triggered,
    "evasion": evaded,
    "typed": typed,
    "measures": measured,
    "many": many_at_once,
    "siblings": other_text_encoders,
    "languages": other_languages,
    "ways": unlisted,
    "pictures": pictures,
}

COARSE_PARTS = ("table", "composition", "typed", "many")
"""The parts of a quick run."""


def _frechet(experiment: Experiment, renders: int) -> metrics.Frechet:
    """Return the Fréchet distance to renders of random scenes."""
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
