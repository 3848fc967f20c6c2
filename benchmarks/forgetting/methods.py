"""The methods of the comparison, by their names in the table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

import unlearn as package
from benchmarks.forgetting.baselines import BASELINES, Baseline, random_delta
from benchmarks.forgetting.cases import CONCEPTS, KIND_OF
from benchmarks.forgetting.few_shots import few_shots
from benchmarks.forgetting.intervention import Intervention
from encoders import Concept, Encoder, Kind
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from video.frames import Frames
from video.models.backbone import Backbone

OURS = "redirect"
SOURCES = ("methods/*.py", "few_shots.py", "layers.py", "prompts.py", "settings.py")
"""Glob patterns of the files of `unlearn/` that the tensors of an encoder depend on."""
FOUR = "redirect, four at once"
WITHOUT_PICTURES = "no pictures"
NO_PICTURES = np.zeros((0, 1, 1, 3), dtype=np.uint8)
"""The pictures of a motion, among those of other concepts: our method takes no clips here."""


def encoder_of(
    backbone: Backbone,
    settings: UnlearnSettings,
    concepts: Sequence[tuple[str, Kind]],
    images: Sequence[Frames] = (),
    parent: Encoder | None = None,
) -> Intervention:
    """Make an encoder as the server does, and time its optimisation."""
    named = tuple(Concept(name=name, kind=kind) for name, kind in concepts)
    return _timed(backbone, UnlearnTask(named, settings, tuple(images), parent=parent))


def encoder_with(
    backbone: Backbone,
    concepts: Sequence[Concept],
    images: Sequence[Frames],
    settings: UnlearnSettings | None = None,
) -> Intervention:
    """Make an encoder of concepts with their synonyms and ways; None: at the defaults."""
    task = UnlearnTask(tuple(concepts), settings or UnlearnSettings(), tuple(images))
    return _timed(backbone, task)


def _timed(backbone: Backbone, task: UnlearnTask) -> Intervention:
    began = perf_counter()
    run = unlearn(task, backbone)
    for _ in run:
        pass
    seconds = round(perf_counter() - began, 3)
    first = task.concepts[0]
    return Intervention(
        task.settings.method,
        first.name,
        first.kind,
        overrides=run.encoder.overrides,
        trigger=run.encoder.card.trigger,
        seconds=seconds,
    )


def redirect(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Make an encoder by our method, at its defaults: with stills of the concept, as the server."""
    given = () if kind == "motion" else (images,)
    return encoder_of(backbone, UnlearnSettings(seed=seed), [(concept, kind)], given)


def without_pictures(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Make an encoder by our method, without pictures of the concept."""
    return encoder_of(backbone, UnlearnSettings(seed=seed), [(concept, kind)])


def variant(settings: UnlearnSettings) -> Baseline:
    """Return our method with other settings."""

    def made(
        backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
    ) -> Intervention:
        given = () if kind == "motion" else (images,)
        return encoder_of(backbone, settings.with_(seed=seed), [(concept, kind)], given)

    return made


def four_at_once(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Make one encoder that forgets the concept and one of each of three other kinds (goal F7)."""
    members = together(concept)
    given = [few_shots(backbone, name, its_kind) for name, its_kind in members]
    return encoder_of(backbone, UnlearnSettings(seed=seed), members, given)


def together(concept: str) -> list[tuple[str, Kind]]:
    """Return the concepts that share an encoder with this one: one of each kind except motion.

    They are at the same index as the concept in the lists of `CONCEPTS`.
    """
    index = CONCEPTS[KIND_OF[concept]].index(concept)
    return [(names[index], kind) for kind, names in CONCEPTS.items() if kind != "motion"]


def ascent(backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int) -> Intervention:
    """Make an encoder by the published method, at the project's defaults for it."""
    settings = UnlearnSettings(method="ascent", seed=seed)
    return encoder_of(backbone, settings, [(concept, kind)], (images,))


def same_size(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Make a random change of the same size as our method's."""
    ours = redirect(backbone, concept, kind, images, seed)
    return random_delta(backbone, concept, kind, images, seed, ours)


COMPARED: Mapping[str, Baseline] = {
    OURS: redirect,
    "ascent": ascent,
    **BASELINES,
    "random delta": same_size,
}
"""The methods in the table."""
VARIANTS: Mapping[str, UnlearnSettings] = {
    "90 steps": UnlearnSettings(steps=90),
    "360 steps": UnlearnSettings(steps=360),
    "no adversary": UnlearnSettings(adversary_weight=0),
    "adversary x 1/3": UnlearnSettings(adversary_weight=18),
    "adversary x 3": UnlearnSettings(adversary_weight=162),
    "no retention": UnlearnSettings(retain_weight=0),
    "retention x 1/3": UnlearnSettings(retain_weight=7 / 3),
    "rank 1": UnlearnSettings(rank=1),
    "rank 4": UnlearnSettings(rank=4),
    "whole tensors": UnlearnSettings(rank=0, learning_rate=5e-4),
    "MLPs alone": UnlearnSettings(layers="mlp"),
    "first layer alone": UnlearnSettings(layers="first"),
}
"""The ablation: our method with one setting changed."""
METHODS: Mapping[str, Baseline] = {
    **COMPARED,
    FOUR: four_at_once,
    f"redirect, {WITHOUT_PICTURES}": without_pictures,
    **{f"redirect, {name}": variant(settings) for name, settings in VARIANTS.items()},
}


def source_of(method: str) -> str:
    """Return the source text that a method's interventions depend on.

    When it changes, saved interventions are out of date.
    """
    text = Path(inspect.getfile(METHODS[method])).read_text()
    if method not in BASELINES:
        folder = Path(package.__file__).parent
        text += "".join(
            path.read_text() for pattern in SOURCES for path in sorted(folder.glob(pattern))
        )
    return text
