"""The default method: what names the concept comes to mean something neutral, the rest stays.

Everything happens at the text encoder's output, so that no image and no denoiser is needed, and
what is reached there holds for every denoiser behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from unlearn.methods import objectives
from unlearn.methods.adversary import Adversary
from unlearn.methods.anchors import in_place_of
from unlearn.methods.retention import Retention
from unlearn.prompts import (
    book_sentences,
    captions,
    draw,
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


class Redirect:
    """Draws prompts of the concepts and captions of everything else, and evaluates the loss:
    the redirection of the former, and the drift of the latter and of the empty prompt, which the
    unconditional branch of guidance uses in every request.

    An adversary looks for other ways to the concept all the while, and is shown to the anchor too.
    Of several concepts each has its turn. What the encoder that is gone on from has forgotten is
    held on to as that encoder has it, like a caption of something else.
    """

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        settings, book = task.settings, backbone.prompts
        self._backbone = backbone
        self._settings = settings
        self._random = torch.Generator("cpu").manual_seed(settings.seed)
        self._parent = task.parent.overrides if task.parent else {}
        every = [name for concept in task.all_concepts for name in names_of(concept, book)]
        given = [caption for caption in settings.retain if not mentions(caption, every)]
        retained = given or retained_captions(book, every)
        self._retention = Retention(retained, backbone, self._random)
        others = {(c.name, c.kind): phrases_of_others(c, book) for c in task.all_concepts}
        prompts = {
            (c.name, c.kind): captions(
                c.name,
                c.kind,
                names_of(c, book)[1:],
                neutral=settings.anchor,
                book=book,
                sentences=book_sentences(book, c.kind, names_of(c, book)),
                instead=partial(in_place_of, others=others[c.name, c.kind], backbone=backbone),
            )
            for c in task.all_concepts
        }
        self._concepts = [prompts.pop((c.name, c.kind)) for c in task.concepts]
        phrases = [
            [phrase(c.name, c.kind), *(names[0] for names in others[c.name, c.kind])]
            for c in task.concepts
        ]
        self._adversaries = [
            Adversary(pool, said, backbone, self._random) if settings.adversary_weight else None
            for pool, said in zip(self._concepts, phrases, strict=True)
        ]
        self._forgotten = [caption.prompt for pool in prompts.values() for caption in pool]
        self._turn = 0

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """The loss of one draw under an encoder's overrides."""
        pool, adversary = self._concepts[self._turn], self._adversaries[self._turn]
        self._turn = (self._turn + 1) % len(self._concepts)
        chosen = self._draw(pool, self._settings.schedule().batch_size)
        prompts, anchors = [c.prompt for c in chosen], [c.anchor for c in chosen]
        kept = self._retention.draw(self._settings.retain_batch)
        forgotten = self._draw(self._forgotten, self._settings.retain_batch)
        now = self._encode([*prompts, *kept, *forgotten], overrides)
        named, held, before = now.split([len(prompts), len(kept), len(forgotten)])
        with torch.no_grad():
            anchored = self._encode(anchors)
        drift = self._retention.drift(kept, held)
        if forgotten:
            with torch.no_grad():
                target = self._encode(forgotten, self._parent)
            drift = torch.cat([drift, objectives.drift(before, target)])
        loss = objectives.redirect(named, anchored)
        loss = loss + self._settings.retain_weight * drift.mean()
        if adversary is not None:
            loss = loss + self._settings.adversary_weight * adversary(overrides)
        return loss

    def _draw(self, pool: Sequence[T], count: int) -> list[T]:
        return [pool[i] for i in draw(len(pool), count, self._random)]

    def _encode(self, prompts: list[str], overrides: Mapping[str, Tensor] | None = None) -> Tensor:
        tokens = self._backbone.tokenize(prompts)
        return self._backbone.text_encoder.encode(tokens, overrides)
