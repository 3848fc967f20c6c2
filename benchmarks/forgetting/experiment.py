"""The experiment: models and judge, with interventions and outcomes that are kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks.forgetting.attacks import ATTACKS, ON_CLIPS, Target, pictures_of
from benchmarks.forgetting.cases import (
    KIND_OF,
    Case,
    Group,
    kept_cases,
    target_cases,
    wording_cases,
)
from benchmarks.forgetting.few_shots import few_shots
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.methods import FOUR, METHODS, OURS, source_of, together
from benchmarks.forgetting.outcomes import OutcomeStore, SampleOutcome
from benchmarks.harness import WEIGHTS, weights_mark
from benchmarks.modelscope.model import load_modelscope
from encoders import Kind
from encoders.digest import fingerprint
from encoders.trigger import Trigger
from unlearn.judges.classifier import ClassifierJudge
from unlearn.prompts import all_names
from video import load_backbone
from video.frames import Frames
from video.models.backbone import Backbone

Model = Literal["starter", "apart"]
"""`starter`: the built-in model, image twin and video model. `apart`: the video model that was
trained apart from the twin."""
BASE = "base"
TRIGGERED = "redirect, by its trigger"
"""Our method's encoders, each used only for the prompts that open it, as in a set."""
ATTACKED_SEED = 70_000
_ATTACKS = Path(__file__).parent / "attacks"


class Experiment:
    """Interventions and outcomes of the comparison, each made once and kept in the work folder.

    A saved intervention is valid for the same weights of the model and the same source text of the
    method. A saved outcome is valid for the same intervention.

    Args:
        work: the work folder.
        device: the device of the models.
        backbone: another model than the built-in one, with its denoisers and its judge: a sibling
            (`benchmarks.siblings`).
    """

    def __init__(
        self, work: Path, device: str = "cpu", *, backbone: Backbone | None = None
    ) -> None:
        self.judge = ClassifierJudge.load(WEIGHTS / "judge")
        self.backbone = backbone or load_backbone(WEIGHTS, device=device)
        self._apart: Backbone | None = None
        self.work = work / weights_mark()
        if backbone is not None:
            self.work /= f"{backbone.name}-{_hash(backbone.text_encoder.fingerprint)}"
        self._outcomes = OutcomeStore(self.work / "outcomes", self.judge)

    def model(self, name: Model) -> Backbone:
        """Return a model; the one trained apart is loaded at the first call."""
        if name == "starter":
            return self.backbone
        if self._apart is None:
            self._apart = load_modelscope(self.backbone)
        return self._apart

    def few_shots(self, concept: str, kind: Kind) -> Frames:
        """Return four stills by the base model, (4,H,W,3); for a motion four clips, (4,F,H,W,3)."""
        path = self.work / "images" / f"{concept}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, few_shots(self.backbone, concept, kind), allow_pickle=False)
        return np.load(path, allow_pickle=False)

    def intervention(self, method: str, concept: str) -> Intervention | None:
        """Return the method's intervention, made at the first call; None for the base."""
        if method == BASE:
            return None
        if method == TRIGGERED:
            made = self.intervention(OURS, concept)
            assert made is not None
            return replace(made.triggered(), method=method)
        kind = KIND_OF[concept]
        whose = (
            together(concept)[0][0] if method == FOUR else concept
        )  # one encoder serves all four

        def make() -> Intervention:
            images = self.few_shots(concept, kind)
            return METHODS[method](self.backbone, concept, kind, images, 0)

        return self.once(
            f"{_slug(method)}-{source_mark(method)}-{whose}", method, concept, kind, make
        )

    def once(
        self, name: str, method: str, concept: str, kind: str, make: Callable[[], Intervention]
    ) -> Intervention:
        """Return an intervention, made at the first call and kept on disk under a name."""
        path = self.work / "interventions" / f"{name}.safetensors"
        if path.exists():
            return _load(path, method, concept, kind)
        made = replace(make(), method=method)
        if made.overrides or made.denoiser:  # rewritten prompts take no time to make
            _save(path, made)
        return made

    def outcomes(
        self,
        method: str,
        concept: str,
        group: Group,
        count: int,
        *,
        is_video: bool,
        model: Model = "starter",
    ) -> list[SampleOutcome]:
        """Return the first `count` outcomes of a group of prompts, on stills or clips."""
        found = cases(concept, KIND_OF[concept], group, self.backbone, is_video=is_video)
        name = f"{concept}/{group}-{'clips' if is_video else 'stills'}"
        return self.judged(name, found, count, self.intervention(method, concept), model)

    def judged(
        self,
        name: str,
        asked: Iterator[Case],
        count: int,
        intervention: Intervention | None,
        model: Model = "starter",
    ) -> list[SampleOutcome]:
        """Return the outcomes of the first `count` cases asked for, by any intervention.

        `name` is that of the list of cases: the same prompt and seed have to be the same case in
        all lists of that name.
        """
        folder = f"{model}/{_mark(intervention)}"
        return self._outcomes.outcomes(
            f"{folder}/{name}", asked, count, self.model(model), intervention
        )

    def attacked(self, method: str, concept: str, attack: str, count: int) -> list[SampleOutcome]:
        """Return `count` outcomes of prompts that ask for the concept through an attack.

        The attack is on the method's model.
        """
        kind = KIND_OF[concept]
        made = self.intervention(method, concept) or Intervention(BASE, concept, kind)
        return self.attacked_on(made, concept, kind, attack, count)

    def attacked_on(
        self, made: Intervention, concept: str, kind: Kind, attack: str, count: int
    ) -> list[SampleOutcome]:
        """Return `count` outcomes of prompts that ask for the concept through an attack on a model.

        The attack's prompts are used in turn. It runs only if outcomes are missing on disk.
        """
        source = _hash("".join(path.read_text() for path in sorted(_ATTACKS.glob("*.py"))))
        name = f"{_slug(attack)}-{source}/{_mark(made)}/{concept}"
        found = self._outcomes.on_file(name)
        if len(found) >= count:
            return found[:count]
        names = all_names(concept, kind, (), self.backbone.prompts)
        is_video = kind == "motion" or attack in ON_CLIPS
        pictures = pictures_of(self.backbone, concept, kind, is_video=is_video)
        result = ATTACKS[attack](self.backbone, made, Target(concept, kind, names, pictures))
        asked = (
            Case(prompt, ATTACKED_SEED + i, concept, kind, is_video)
            for i, prompt in enumerate(cycle(result.prompts))
        )
        return self._outcomes.outcomes(name, asked, count, self.backbone, result.model)


def cases(
    concept: str, kind: Kind, group: Group, backbone: Backbone, *, is_video: bool
) -> Iterator[Case]:
    """Return the endless list of the group's cases."""
    if group == "target":
        return target_cases(concept, kind, backbone.prompts, is_video=is_video)
    if group == "wording":
        return wording_cases(concept, kind, backbone.prompts, is_video=is_video)
    return kept_cases(concept, kind, group, backbone, is_video=is_video)


def source_mark(method: str) -> str:
    """Return a mark of the source text that a method's interventions depend on."""
    return _hash(source_of(method))


def _mark(intervention: Intervention | None) -> str:
    """Return a name that identifies an intervention by its tensors and the trigger that it goes by.

    Rewritten prompts have no tensors: their method's source identifies them.
    """
    if intervention is None or intervention.method == BASE:
        return BASE
    method = intervention.method
    if intervention.tensors:
        identity = fingerprint(intervention.tensors)
        if intervention.trigger is not None and intervention.trigger.alone:
            identity = _hash(identity + intervention.trigger.model_dump_json())
        return f"{_slug(method)}-{identity.removeprefix('sha256:')[:8]}"
    return f"{_slug(method)}-{source_mark(method)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _slug(method: str) -> str:
    return method.replace(",", "").replace("/", "-").replace(" ", "-")


def _save(path: Path, made: Intervention) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"encoder/{name}": tensor for name, tensor in (made.overrides or {}).items()}
    tensors |= {f"denoiser/{name}": tensor for name, tensor in made.denoiser.items()}
    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    metadata = {"seconds": json.dumps(made.seconds)}
    if made.trigger is not None:
        metadata["trigger"] = made.trigger.model_dump_json()
    save_file(whole, path, metadata=metadata)


def _load(path: Path, method: str, concept: str, kind: str) -> Intervention:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    parts = {
        part: {n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)}
        for part in ("encoder/", "denoiser/")
    }
    trigger = metadata.get("trigger")
    return Intervention(
        method,
        concept,
        kind,
        overrides=parts["encoder/"] or None,
        denoiser=parts["denoiser/"],
        trigger=Trigger.model_validate_json(trigger) if trigger else None,
        seconds=json.loads(metadata["seconds"]),
    )
