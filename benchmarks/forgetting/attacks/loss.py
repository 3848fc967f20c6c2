"""How badly a model explains an attacker's pictures: what every attack here minimises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.forgetting.attacks.attack import Target
from benchmarks.forgetting.intervention import Intervention
from unlearn.methods import objectives
from video.models.backbone import Backbone


class PicturesLoss:
    """L(y) = ‖ε_θ(x_t, t, τ(y)) − target‖² over the target's images, y a caption for each.

    The denoiser's own loss: a prompt that makes it small is one from which the model draws the
    images (Zhang et al., arXiv 2310.11868, eq. 5; Gal et al., arXiv 2208.01618, eq. 2).

    The prompts are rewritten first, as the intervention would. A negative prompt has no part in it:
    it is not the encoder's nor the denoiser's. Denoisers that are edited have to be when this is
    called (`edited`).

    Args:
        draws: noised copies of each image in the batch on which attempts are compared.
    """

    def __init__(
        self, backbone: Backbone, intervention: Intervention, target: Target, *, draws: int
    ) -> None:
        self._backbone = backbone
        self._rewrite = intervention.rewrite
        self._random = torch.Generator("cpu").manual_seed(target.seed)
        self._denoiser = backbone.denoiser(target.is_video)
        self._latents = self._denoiser.encode(target.images)
        copies = torch.cat([self._latents] * draws)
        self._fixed = objectives.noised(self._denoiser, copies, self._random)
        self._draws = draws

    def drawn(
        self, captions: Sequence[str], overrides: Mapping[str, Tensor] | None, batch: int
    ) -> Tensor:
        """On `batch` images at random, freshly noised: an unbiased estimate, with gradients."""
        images = torch.randint(len(self._latents), (batch,), generator=self._random)
        x = objectives.noised(self._denoiser, self._latents[images], self._random)
        embeddings = self._embed([captions[int(i)] for i in images], overrides)
        return -objectives.ascent(self._denoiser, x, embeddings)

    def compared(self, captions: Sequence[str], overrides: Mapping[str, Tensor] | None) -> Tensor:
        """On one and the same noised batch every time, so that two attempts differ by what they
        are and not by their noise.
        """
        embeddings = torch.cat([self._embed(captions, overrides)] * self._draws)
        return -objectives.ascent(self._denoiser, self._fixed, embeddings)

    def _embed(self, captions: Sequence[str], overrides: Mapping[str, Tensor] | None) -> Tensor:
        prompts = [self._rewrite(caption)[0] for caption in captions]
        return self._backbone.text_encoder.encode(self._backbone.tokenize(prompts), overrides)
