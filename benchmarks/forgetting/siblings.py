"""F11: the same defaults on text encoders of other architectures, judged on pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.forgetting import metrics
from benchmarks.forgetting.evaluation import Figures, OutcomeReader, evaluate, evaluate_attack
from benchmarks.forgetting.experiment import BASE, Experiment
from benchmarks.forgetting.methods import OURS
from benchmarks.forgetting.sizes import BASELINE, SampleSizes
from benchmarks.results import points_text, rate_text, show
from benchmarks.siblings.architectures import SIBLINGS
from benchmarks.siblings.making import WORK, make
from benchmarks.siblings.model import load_sibling

BUILT_IN = "built-in"
ATTACK = "soft prefix"
ROWS = (BUILT_IN, *SIBLINGS)
SIZES = replace(
    BASELINE, target_clips=2, base_clips=1, wording=6, kept=12, neighbours=6, decide=False
)
COLUMNS = (
    "base shows it",
    "UA, stills",
    "UA, wordings",
    "UA",
    "lost, same kind",
    "lost, other kinds",
    "lost, neighbours",
    "attacked",
)


def siblings(
    experiment: Experiment,
    concepts: Sequence[str],
    names: Sequence[str],
    sizes: SampleSizes = SIZES,
    folder: Path = WORK,
) -> dict[str, Figures]:
    """Return the figures of each sibling, pooled over the concepts, and the built-in model's.

    Args:
        experiment: On the built-in model.
        concepts: Of several kinds, except motion.
        names: Siblings, or `BUILT_IN`.
        sizes: Pictures for each concept.
        folder: Where `make siblings` keeps them. One that is not there is made.
    """
    found: dict[str, Figures] = {}
    for name in names if concepts else ():
        one = experiment
        if name != BUILT_IN:
            make(SIBLINGS[name], folder / name)
            one = Experiment(experiment.work / "siblings", backbone=load_sibling(folder / name))
        found[name] = _figures(one, concepts, sizes)
        print(f"{name}: {found[name]}", flush=True)
    return found


def show_siblings(found: Mapping[str, Figures]) -> None:
    """Print the table."""
    lines = [
        [name, *(_text(one[column]) for column in COLUMNS), str(one["seconds"])]
        for name, one in found.items()
    ]
    show("The same defaults on other text encoders (F11)", ("", *COLUMNS, "s"), lines)


def _figures(experiment: Experiment, concepts: Sequence[str], sizes: SampleSizes) -> Figures:
    read = OutcomeReader(experiment, concepts, sizes)
    shown = metrics.shown(read.stills(BASE, "target"))
    found = evaluate(experiment, OURS, concepts, sizes)
    del found["features"]
    attacked = evaluate_attack(experiment, OURS, ATTACK, concepts, sizes)
    return {
        **found,
        "base shows it": shown,
        "attacked": attacked,
        "UA, by concept": {
            concept: metrics.forgotten(
                OutcomeReader(experiment, [concept], sizes).stills(OURS, "target")
            )["rate"]
            for concept in concepts
        },
    }


def _text(figure: Figures) -> str:
    text: Callable[[Figures], str] = points_text if "mean" in figure else rate_text
    return text(figure)
