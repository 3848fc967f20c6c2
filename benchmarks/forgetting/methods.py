"""Every method of the comparison, by the name that the table calls it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import unlearn as package
from benchmarks.forgetting.baselines import BASELINES, Baseline, random_delta
from benchmarks.forgetting.cases import CONCEPTS, KIND_OF
from benchmarks.forgetting.intervention import Intervention
from encoders import Concept, Kind
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.settings import Method
from video.backbone import Backbone, Frames

OURS = "redirect"
SOURCES = (
    "adversary",
    "ascent",
    "fewshot",
    "layers",
    "objectives",
    "optimise",
    "redirect",
    "settings",
)
"""The files of `unlearn/` that decide what an encoder becomes."""
FOUR = "redirect, four at once"


def encoder_of(
    backbone: Backbone,
    method: Method,
    concepts: Sequence[tuple[str, Kind]],
    images: Sequence[Frames],
    seed: int,
) -> Intervention:
    """An encoder as the server makes it, and the seconds that its optimisation took."""
    task = UnlearnTask(
        tuple(Concept(name=name, kind=kind) for name, kind in concepts),
        UnlearnSettings(method=method, seed=seed),
        tuple(images),
    )
    began = perf_counter()
    run = unlearn(task, backbone)
    for _ in run:
        pass
    seconds = round(perf_counter() - began, 3)
    name, kind = concepts[0]
    return Intervention(method, name, kind, overrides=run.encoder.overrides, seconds=seconds)


def redirect(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Ours, at its defaults."""
    return encoder_of(backbone, "redirect", [(concept, kind)], (), seed)


def four_at_once(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Ours, with a concept of each of three other kinds in the same encoder (goal F7)."""
    return encoder_of(backbone, "redirect", together(concept), (), seed)


def together(concept: str) -> list[tuple[str, Kind]]:
    """The concepts that share an encoder with this one: the one of each kind but motion that stands
    at its place in its kind's list."""
    place = CONCEPTS[KIND_OF[concept]].index(concept)
    return [(names[place], kind) for kind, names in CONCEPTS.items() if kind != "motion"]


def ascent(backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int) -> Intervention:
    """The published method, at the settings that forget most for what they break."""
    return encoder_of(backbone, "ascent", [(concept, kind)], (images,), seed)


def same_size(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """A random change of the size of ours."""
    ours = redirect(backbone, concept, kind, images, seed)
    return random_delta(backbone, concept, kind, images, seed, ours)


METHODS: Mapping[str, Baseline] = {
    OURS: redirect,
    FOUR: four_at_once,
    "ascent": ascent,
    **BASELINES,
    "random delta": same_size,
}


def source_of(method: str) -> str:
    """The source text that decides what a method leaves behind: what is on file of it is out of
    date as soon as that changes."""
    text = Path(inspect.getfile(METHODS[method])).read_text()
    if method not in BASELINES:
        folder = Path(package.__file__).parent
        text += "".join((folder / f"{name}.py").read_text() for name in SOURCES)
    return text
