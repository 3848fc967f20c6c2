"""Pictures without a name (goal F13): ten concepts that the model draws, and ten things it cannot.

Each is given as four pictures by the renderer, without a name or a kind. A concept is found if its
own name is; a thing is refused if the search ends in `NotDrawn`. The encoder of a concept that was
found is made from the same pictures, judged on prompts that name it, and attacked.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.forgetting import metrics
from benchmarks.forgetting.cases import target_cases
from benchmarks.forgetting.experiment import Experiment, source_mark
from benchmarks.forgetting.methods import OURS, encoder_with
from benchmarks.forgetting.strange_things import THINGS, pictures_of_thing
from benchmarks.results import rate
from encoders import Concept, Kind
from encoders.digest import fingerprint
from starter.scene import sample_scene
from starter.styles import STYLES
from unlearn.pictures import name_pictures
from unlearn.pictures.naming import NotDrawn

PICTURES = 4
STILLS, ATTACKED = 32, 16
"""Stills of an encoder on prompts that name the concept, and under the attack."""
ATTACK = "pseudo-token"
GOAL = 0.97
"""Share of the stills without the concept from which it counts as forgotten (F2)."""
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("star", "teapot", "balloon"), "object"),
    **dict.fromkeys(("pogo", "tamu", "zumi"), "character"),
    **dict.fromkeys(("mira", "suri", "otto"), "person"),
    "dottie": "style",
}
CONCEPTS = tuple(KINDS)


def unnamed(experiment: Experiment, count: int) -> dict[str, Any]:
    """Return what was found in the pictures of the first `count` concepts and things of each."""
    found: dict[str, Any] = {"concepts": {}, "things": {}}
    for name in CONCEPTS[:count]:
        pictures = _pictures_of(name)
        found["concepts"][name] = _outcome(experiment, pictures)
        if found["concepts"][name]["name"] == name:
            found["concepts"][name] |= _forgotten(experiment, name, pictures)
        print(f"{name}: {found['concepts'][name]}", flush=True)
    for name in list(THINGS)[:count]:
        found["things"][name] = _outcome(experiment, pictures_of_thing(name, PICTURES))
        print(f"{name}: {found['things'][name]}", flush=True)
    hits = sum(one["name"] == name for name, one in found["concepts"].items())
    refused = sum(one["name"] is None for one in found["things"].values())
    forgotten = sum(
        one.get("UA", {"rate": 0})["rate"] >= GOAL for one in found["concepts"].values()
    )
    shown = [one["attacked"] for one in found["concepts"].values() if "attacked" in one]
    return {
        **found,
        "found": rate(hits, len(found["concepts"])),
        "forgotten": rate(forgotten, len(found["concepts"])),
        "attacked": rate(
            round(sum(one["rate"] * one["n"] for one in shown)), sum(one["n"] for one in shown)
        ),
        "refused": rate(refused, len(found["things"])),
    }


def _forgotten(experiment: Experiment, name: str, pictures: NDArray[np.uint8]) -> dict[str, Any]:
    """Return how well the encoder that is made from the pictures forgets: stills, and attacked."""
    concept = Concept(name=name, kind=KINDS[name])
    mark = fingerprint({"pictures": torch.from_numpy(pictures)}).removeprefix("sha256:")[:8]
    made = experiment.once(
        f"unnamed-{source_mark(OURS)}-{mark}-{name}",
        OURS,
        name,
        concept.kind,
        lambda: encoder_with(experiment.backbone, [concept], [pictures]),
    )
    asked = target_cases(name, concept.kind, experiment.backbone.prompts, is_video=False)
    judged = experiment.judged(f"{name}/target-stills", asked, STILLS, made)
    attacked = experiment.attacked_on(made, name, concept.kind, ATTACK, ATTACKED)
    return {"UA": metrics.forgotten(judged), "attacked": metrics.shown(attacked)}


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
