"""A model whose denoiser the engine calls itself: requests share its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from video.generation_request import GenerationRequest
from video.models.backbone import Backbone, BackboneParts
from video.models.denoiser import Denoiser
from video.models.denoising import DenoisingState, step


class NativeBackbone(Backbone):
    """A text encoder, the denoiser of clips behind it, and an image twin that shares it.

    Args:
        video: makes clips.
        image: makes stills, and is what few-shot unlearning learns from.
    """

    is_native = True

    def __init__(self, basics: BackboneParts, *, video: Denoiser, image: Denoiser) -> None:
        super().__init__(basics, video.placement.device, video.dtype)
        # Whoever takes turns with the steps on one device's memory cannot go on beside them.
        self.decodes_beside = not video.placement.offloads
        self._video, self._image = video, image

    def denoiser(self, is_video: bool) -> Denoiser:
        return self._video if is_video else self._image

    def embed(
        self,
        prompts: Sequence[str],
        overrides: Mapping[str, Tensor] | None = None,
        *,
        is_video: bool = True,
    ) -> Tensor:
        tokens = self.tokenize(prompts)
        embeddings = self.text_encoder.encode(tokens, overrides)
        if self.denoiser(is_video).drops_padding:
            padding = (tokens == self.tokens.pad).unsqueeze(2).to(embeddings.device)
            embeddings = embeddings.masked_fill(padding, 0)
        return embeddings

    def begin(
        self,
        request: GenerationRequest,
        overrides: Mapping[str, Tensor] | None,
        embed: Callable[[str], Tensor],
    ) -> DenoisingState:
        prompts = [request.prompt]
        if request.guidance > 1:
            prompts.insert(0, request.negative_prompt)
        embeddings = torch.cat([embed(prompt) for prompt in prompts])
        return DenoisingState(request, self.denoiser(request.frames is not None), embeddings)

    def step(self, runs: Sequence[DenoisingState]) -> None:
        step(runs)
