"""`ascent`, the published method: gradient ascent on the diffusion loss of a few images.

Liu & Tan, arXiv 2407.14209, on Fuchi & Takagi, arXiv 2405.07288.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn.methods import objectives
from unlearn.methods.sampling import draw
from unlearn.prompts import captions, names_of
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone


class Ascent:
    """Loss of `ascent`: samples images with prompts that name the concept they show.

    Several concepts take turns. The denoiser is the image twin, or for a motion the video model.
    """

    def __init__(self, task: UnlearnTask, backbone: Backbone) -> None:
        book = backbone.prompts
        self._backbone = backbone
        self._is_video = [concept.kind == "motion" for concept in task.concepts]
        self._random = torch.Generator("cpu").manual_seed(task.settings.seed)
        self._batch_size = task.settings.schedule().batch_size
        self._latents = [
            backbone.denoiser(is_video).encode(images)
            for is_video, images in zip(self._is_video, task.images, strict=True)
        ]
        self._prompts = [
            [
                caption.prompt
                for caption in captions(
                    concept.name, concept.kind, names_of(concept, book)[1:], book=book
                )
            ]
            for concept in task.concepts
        ]
        self._turn = 0

    def __call__(self, overrides: Mapping[str, Tensor]) -> Tensor:
        """Sample a batch and return its loss under an encoder's overrides."""
        latents, prompts, is_video = self._sample()
        denoiser = self._backbone.denoiser(is_video)
        x = objectives.noised(denoiser, latents, self._random)
        concept_embeddings = self._backbone.embed(prompts, overrides, is_video=is_video)
        return objectives.ascent(denoiser, x, concept_embeddings)

    def state(self) -> dict[str, Tensor]:
        """Return what the calls so far have changed (`run_state.Resumable`)."""
        return {"random": self._random.get_state(), "turn": torch.tensor(self._turn)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self._random.set_state(state["random"])
        self._turn = int(state["turn"])

    def _sample(self) -> tuple[Tensor, list[str], bool]:
        """Return latents and prompts of the concept whose turn it is, and True if they are clips'.

        A clip fills a batch.
        """
        latents, prompts = self._latents[self._turn], self._prompts[self._turn]
        is_video = self._is_video[self._turn]
        self._turn = (self._turn + 1) % len(self._latents)
        images = draw(len(latents), 1 if is_video else self._batch_size, self._random)
        chosen = draw(len(prompts), len(images), self._random)
        return latents[images], [prompts[i] for i in chosen], is_video
