"""Every method of the comparison, by the name that the table calls it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from time import process_time

import unlearn as package
from benchmarks.forgetting.baselines import BASELINES, Baseline
from benchmarks.forgetting.intervention import Intervention
from encoders import Concept, Kind
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.settings import Method
from video.backbone import Backbone, Frames

OURS = "redirect"


def encoder_of(
    backbone: Backbone, method: Method, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """An encoder as the server makes it, and the processor's seconds that its optimisation took."""
    task = UnlearnTask(
        (Concept(name=concept, kind=kind),),
        UnlearnSettings(method=method, seed=seed),
        (images,) if method == "ascent" else (),
    )
    began = process_time()
    run = unlearn(task, backbone)
    for _ in run:
        pass
    overrides = run.encoder.overrides
    return Intervention(
        method, concept, kind, overrides=overrides, seconds=round(process_time() - began, 3)
    )


def redirect(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Ours, at its defaults."""
    return encoder_of(backbone, "redirect", concept, kind, images, seed)


def ascent(backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int) -> Intervention:
    """The published method, at the settings that forget most for what they break."""
    return encoder_of(backbone, "ascent", concept, kind, images, seed)


METHODS: Mapping[str, Baseline] = {OURS: redirect, "ascent": ascent, **BASELINES}


def source_of(method: str) -> str:
    """The source text that decides what a method leaves behind: what is on file of it is out of
    date as soon as that changes."""
    function = METHODS[method]
    text = Path(inspect.getfile(function)).read_text()
    if method in (OURS, "ascent"):
        folder = Path(package.__file__).parent
        names = ("fewshot", "layers", "objectives", "optimise", "redirect", "ascent", "settings")
        text = "".join((folder / f"{name}.py").read_text() for name in names)
    return text
