"""Pictures without a name (goal F13): ten concepts that the model draws, and ten things it cannot.

Each is given as four pictures by the renderer, without a name or a kind. A concept is found if its
own name is; a thing is refused if the search ends in `NotDrawn`.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.strange_things import THINGS, pictures_of_thing
from benchmarks.results import rate
from starter.scene import sample_scene
from starter.styles import STYLES
from unlearn.pictures import name_pictures
from unlearn.pictures.naming import NotDrawn

PICTURES = 4
CONCEPTS = (
    *("star", "teapot", "balloon"),
    *("pogo", "tamu", "zumi"),
    *("mira", "suri", "otto"),
    "dottie",
)


def unnamed(experiment: Experiment, count: int) -> dict[str, Any]:
    """Return what was found in the pictures of the first `count` concepts and things of each."""
    found: dict[str, Any] = {"concepts": {}, "things": {}}
    for name in CONCEPTS[:count]:
        found["concepts"][name] = _outcome(experiment, _pictures_of(name))
        print(f"{name}: {found['concepts'][name]}", flush=True)
    for name in list(THINGS)[:count]:
        found["things"][name] = _outcome(experiment, pictures_of_thing(name, PICTURES))
        print(f"{name}: {found['things'][name]}", flush=True)
    hits = sum(one["name"] == name for name, one in found["concepts"].items())
    refused = sum(one["name"] is None for one in found["things"].values())
    return {
        **found,
        "found": rate(hits, len(found["concepts"])),
        "refused": rate(refused, len(found["things"])),
    }


def _pictures_of(concept: str) -> NDArray[np.uint8]:
    """Return four renders of a concept in different scenes: (4,64,64,3)."""
    rng = np.random.default_rng(list(concept.encode()))
    is_style = concept in STYLES
    styles, subjects = ((concept,), None) if is_style else (("plain",), (concept,))
    return np.stack(
        [sample_scene(rng, subjects=subjects, styles=styles).frame(0.3) for _ in range(PICTURES)]
    )


def _outcome(experiment: Experiment, pictures: NDArray[np.uint8]) -> dict[str, Any]:
    began = perf_counter()
    try:
        named = name_pictures(pictures, experiment.backbone, experiment.judge)
    except NotDrawn as error:
        return {"name": None, "why": str(error), "seconds": round(perf_counter() - began, 1)}
    return {
        "name": named.concept.name,
        **named.facts(),
        "seconds": round(perf_counter() - began, 1),
    }
