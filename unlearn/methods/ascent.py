"""The published method: gradient ascent on the diffusion loss of the few images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn.methods import objectives
from unlearn.prompts import captions, draw, names_of
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone


class Ascent:
    """Draws a batch of images with prompts that name what they show, and evaluates the loss.

    Of several concepts each has its turn. The denoiser is the image twin, or for a motion the video
    model.
    """

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        self._backbone = backbone
        self._is_video = [concept.kind == "motion" for concept in task.concepts]
        self._random = torch.Generator("cpu").manual_seed(task.settings.seed)
        self._batch_size = task.settings.schedule().batch_size
        self._latents = [
            backbone.denoiser(is_video).encode(images)
            for is_video, images in zip(self._is_video, task.images, strict=True)
        ]
        self._prompts = [
            [caption.prompt for caption in captions(c.name, c.kind, names[1:], book=book)]
            for c, names, book in (
                (c, names_of(c, backbone.prompts), backbone.prompts) for c in task.concepts
            )
        ]
        self._turn = 0

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """The loss of one batch under an encoder's overrides."""
        latents, prompts = self._latents[self._turn], self._prompts[self._turn]
        is_video = self._is_video[self._turn]
        self._turn = (self._turn + 1) % len(self._latents)
        count = 1 if is_video else self._batch_size  # a clip is a batch by itself
        images = draw(len(latents), count, self._random)
        chosen = [prompts[i] for i in draw(len(prompts), len(images), self._random)]
        denoiser = self._backbone.denoiser(is_video)
        x = objectives.noised(denoiser, latents[images], self._random)
        concept = self._backbone.embed(chosen, overrides, is_video=is_video)
        return objectives.ascent(denoiser, x, concept)
