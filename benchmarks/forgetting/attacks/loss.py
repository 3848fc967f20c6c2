"""Diffusion loss of an attacker's pictures, which every attack minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.forgetting.attacks.attack import Target
from benchmarks.forgetting.attacks.guided_loss import guided_loss
from benchmarks.forgetting.intervention import Intervention
from unlearn.methods import objectives
from video.models.backbone import Backbone


class PicturesLoss:
    """L(y) = ‖ε_θ(x_t, t, τ(y)) − target‖² over the target's images, y a caption for each.

    This is the denoiser's training loss: a prompt with a small loss makes the model draw the images
    (Zhang et al., arXiv 2310.11868, eq. 5; Gal et al., arXiv 2208.01618, eq. 2).

    Prompts are first rewritten by the intervention. Negative prompts take no part: they change
    neither encoder nor denoiser. Edits of the denoiser have to be in place during a call
    (`edited`).

    Args:
        backbone: the base model.
        intervention: the attacked change of the model.
        target: the images and the seed.
        draws: noised copies of each image in the batch on which attempts are compared.
        guidance: None for the loss above; a number for PROBE's (`guided_loss`), with it.
    """

    def __init__(
        self,
        backbone: Backbone,
        intervention: Intervention,
        target: Target,
        *,
        draws: int,
        guidance: float | None = None,
    ) -> None:
        self._guidance = guidance
        self._backbone = backbone
        self._rewrite = intervention.rewrite
        self._random = torch.Generator("cpu").manual_seed(target.seed)
        self._denoiser = backbone.denoiser(target.is_video)
        self._latents = self._denoiser.encode(target.images)
        self._copies = torch.cat([self._latents] * draws)
        self._fixed = objectives.noised(self._denoiser, self._copies, self._random)
        self._draws = draws

    def drawn(self, captions: Sequence[str], model: Intervention, batch: int) -> Tensor:
        """Return an unbiased estimate with gradients, on `batch` random images with new noise."""
        images = torch.randint(len(self._latents), (batch,), generator=self._random)
        x = objectives.noised(self._denoiser, self._latents[images], self._random)
        embeddings = self._embed([captions[int(i)] for i in images], model)
        return self._loss(self._latents[images], x, embeddings, model)

    def compared(self, captions: Sequence[str], model: Intervention) -> Tensor:
        """Return the loss on a fixed noised batch, so that noise does not decide a comparison."""
        embeddings = torch.cat([self._embed(captions, model)] * self._draws)
        return self._loss(self._copies, self._fixed, embeddings, model)

    def _loss(
        self, latents: Tensor, x: objectives.Noised, embeddings: Tensor, model: Intervention
    ) -> Tensor:
        if self._guidance is None:
            return -objectives.ascent(self._denoiser, x, embeddings)
        with torch.no_grad():
            empty = model.embed(self._backbone, [""]).expand_as(embeddings)
        return guided_loss(self._denoiser, latents, x, (empty, embeddings), self._guidance)

    def _embed(self, captions: Sequence[str], model: Intervention) -> Tensor:
        prompts = [self._rewrite(caption)[0] for caption in captions]
        return model.embed(self._backbone, prompts)
