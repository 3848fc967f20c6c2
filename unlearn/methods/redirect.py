"""`redirect`, the default method: the concept's prompts are given a neutral meaning.

Everything happens at the text encoder's output. So it needs no image and no denoiser, and its
result holds for every denoiser that uses the text encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from encoders import Concept
from unlearn.methods import objectives
from unlearn.methods.adversary import Adversary
from unlearn.methods.anchor_rows import Anchors
from unlearn.methods.inversion import Inversion
from unlearn.methods.retention import Retention
from unlearn.methods.run_state import part, prefixed
from unlearn.methods.sampling import draw
from unlearn.prompts import (
    mentions,
    names_of,
    phrase,
    phrases_of_others,
    retained_captions,
)
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone

T = TypeVar("T")

INVERSION_WEIGHT = 2.0
"""Weight of the redirection of the words that draw a concept's pictures."""


class Redirect:
    """Loss of `redirect`: redirection of the concept, drift of everything else, and an adversary.

    The redirection is on prompts that name the concept, the drift on captions of everything else
    and on the empty prompt. An adversary searches for other ways to the concept during the run, and
    the encoder is trained against it; where there are pictures of the concept, new words that draw
    them are searched too. Several concepts take turns. Prompts of the parent encoder's concepts
    must stay where the parent has them, like a caption of something else.
    """

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        settings, book = task.settings, backbone.prompts
        self._backbone = backbone
        self._settings = settings
        self._random = torch.Generator("cpu").manual_seed(settings.seed)
        self._parent = task.parent_overrides
        every_name = [name for concept in task.all_concepts for name in names_of(concept, book)]
        asked = [caption for caption in settings.retain if not mentions(caption, every_name)]
        retained = asked or retained_captions(book, every_name)
        every_anchor = [Anchors(concept, task, backbone) for concept in task.all_concepts]
        beginnings = [each for one in every_anchor for each in one.beginnings.values()]
        self._retention = Retention(retained, beginnings, backbone, self._random)
        self._anchors = every_anchor[-len(task.concepts) :]
        self._adversaries = [
            Adversary(own, first_phrases(concept, backbone), backbone, self._random)
            if settings.adversary_weight
            else None
            for own, concept in zip(self._anchors, task.concepts, strict=True)
        ]
        self._inversions = [
            Inversion(own, images, concept.kind == "motion", backbone, self._random)
            if len(images)
            else None
            for own, images, concept in zip(self._anchors, task.images, task.concepts, strict=False)
        ]
        earlier = every_anchor[: -len(task.concepts)]
        self._forgotten = [caption.prompt for one in earlier for caption in one.captions]
        self._turn = 0

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """Sample prompts and captions and return their loss under an encoder's overrides.

        L = ‖τ_φ(y) − A(y)‖² + `retain_weight` · drift + `adversary_weight` · the adversary's loss
          + `INVERSION_WEIGHT` · ‖τ_φ(y_v) − A(y)‖², the last for concepts that have pictures, with
        the anchor embeddings A(y) of `unlearn.methods.anchor_rows` and the words v of
        `unlearn.methods.inversion`.
        """
        anchors, adversary = self._anchors[self._turn], self._adversaries[self._turn]
        inversion = self._inversions[self._turn] if self._inversions else None
        self._turn = (self._turn + 1) % len(self._anchors)
        sampled = self._draw(anchors.captions, self._settings.schedule().batch_size)
        retained = self._retention.draw(self._settings.retain_batch)
        forgotten = self._draw(self._forgotten, self._settings.retain_batch)
        prompts = [caption.prompt for caption in sampled]
        embeddings = self._encode([*prompts, *retained, *forgotten], overrides)
        named, kept, left = embeddings.split([len(prompts), len(retained), len(forgotten)])
        anchored = anchors.encode(sampled)
        drift = self._retention.drift(retained, kept)
        if forgotten:
            with torch.no_grad():
                by_parent = self._encode(forgotten, self._parent)
            drift = torch.cat([drift, objectives.drift(left, by_parent)])
        loss = objectives.redirect(named, anchored)
        loss = loss + self._settings.retain_weight * drift.mean()
        if adversary is not None:
            loss = loss + self._settings.adversary_weight * adversary(overrides)
        if inversion is not None:
            loss = loss + INVERSION_WEIGHT * inversion(overrides)
        return loss

    def state(self) -> dict[str, Tensor]:
        """Return what the calls so far have changed (`run_state.Resumable`)."""
        saved = {
            "random": self._random.get_state(),
            "turn": torch.tensor(self._turn),
            **prefixed("retention", self._retention.state()),
        }
        for number, adversary in enumerate(self._adversaries):
            if adversary is not None:
                saved |= prefixed(f"adversary-{number}", adversary.state())
        for number, inversion in enumerate(self._inversions):
            if inversion is not None:
                saved |= prefixed(f"inversion-{number}", inversion.state())
        return saved

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self._random.set_state(state["random"])
        self._turn = int(state["turn"])
        self._retention.restore(part("retention", state))
        for number, adversary in enumerate(self._adversaries):
            if adversary is not None:
                adversary.restore(part(f"adversary-{number}", state))
        for number, inversion in enumerate(self._inversions):
            if inversion is not None:
                inversion.restore(part(f"inversion-{number}", state))

    def _draw(self, pool: Sequence[T], count: int) -> list[T]:
        return [pool[i] for i in draw(len(pool), count, self._random)]

    def _encode(self, prompts: list[str], overrides: Mapping[str, Tensor] | None = None) -> Tensor:
        tokens = self._backbone.tokenize(prompts)
        return self._backbone.text_encoder.encode(tokens, overrides)


def first_phrases(concept: Concept, backbone: Backbone) -> list[str]:
    """Return the phrase of the concept's own name, then of each other concept's of the kind."""
    others = phrases_of_others(concept, backbone.prompts)
    return [phrase(concept.name, concept.kind), *(phrases[0] for phrases in others)]
