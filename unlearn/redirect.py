"""The default method: what names the concept comes to mean something neutral, the rest stays.

Everything happens at the text encoder's output, so that no image and no denoiser is needed, and
what is reached there holds for every denoiser behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn import objectives
from unlearn.fewshot import captions, draw, mentions, names_of, retained_captions
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.backbone import Backbone


class Redirect:
    """Draws prompts of the concepts and captions of everything else, and evaluates the loss:
    the redirection of the former, and the drift of the latter and of the empty prompt, which the
    unconditional branch of guidance uses in every request.

    What an earlier encoder has forgotten is redirected along with the new concepts, so that it
    stays forgotten.
    """

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        settings, book = task.settings, backbone.prompts
        self._backbone = backbone
        self._settings = settings
        self._random = torch.Generator("cpu").manual_seed(settings.seed)
        names = [names_of(concept, book) for concept in task.all_concepts]
        self._captions = [
            captions(c.name, c.kind, its_names[1:], anchor=settings.anchor, book=book)
            for c, its_names in zip(task.all_concepts, names, strict=True)
        ]
        every = [name for its_names in names for name in its_names]
        given = [caption for caption in settings.retain if not mentions(caption, every)]
        self._retain = given or retained_captions(book, every)

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """The loss of one draw under an encoder's overrides."""
        count = self._settings.schedule().batch_size
        chosen = [pool[i] for pool in self._captions for i in draw(len(pool), count, self._random)]
        kept = [
            self._retain[i]
            for i in draw(len(self._retain), self._settings.retain_batch, self._random)
        ]
        kept.append("")
        encode, tokenize = self._backbone.text_encoder.encode, self._backbone.tokenize
        now = encode(tokenize([c.prompt for c in chosen] + kept), overrides)
        with torch.no_grad():
            base = encode(tokenize([c.anchor for c in chosen] + kept))
        concept, others = now.split([len(chosen), len(kept)])
        anchor0, others0 = base.split([len(chosen), len(kept)])
        drift = objectives.drift(others, others0)
        return objectives.redirect(concept, anchor0) + self._settings.retain_weight * drift
