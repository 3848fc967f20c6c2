"""The second video model, loaded: its own denoiser behind the built-in model's text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet3DConditionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from video.backbone import Backbone, Frames

WEIGHTS = Path(__file__).parent / "weights"


def load_modelscope(starter: Backbone, weights: Path = WEIGHTS) -> ModelScope:
    """The model that `benchmarks.modelscope.train` wrote. Raises OSError if it has not."""
    unet = cast(Any, UNet3DConditionModel).from_pretrained(weights, torch_dtype=torch.float32)
    return ModelScope(starter, unet)


class ModelScope(Backbone):
    """`UNet3DConditionModel` between the built-in model's text encoder and its autoencoder. It has
    no image twin: stills are refused."""

    def __init__(self, starter: Backbone, unet: nn.Module) -> None:
        self._starter = starter
        self._unet = unet.eval().requires_grad_(False).to(starter.device)
        self.name = "modelscope"
        self.limits = starter.limits
        self.text_encoder = starter.text_encoder
        self.prompts = starter.prompts
        self.prediction_type = starter.prediction_type
        self.alphas_cumprod = starter.alphas_cumprod
        self.device = starter.device
        self.dtype = torch.float32

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        return self._starter.tokenize(prompts)

    def prompt_tokens(self, prompt: str) -> int:
        return self._starter.prompt_tokens(prompt)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return self._starter.detokenize(tokens)

    def scheduler(self) -> SchedulerMixin:
        return self._starter.scheduler()

    def initial_latents(self, seed: int, frames: int | None) -> Tensor:
        return self._starter.initial_latents(seed, frames)

    def denoise(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        # Unlike the motion U-Net, this class repeats the embeddings for each frame itself.
        unet: Any = self.denoiser(latents.ndim == 5)
        return unet(latents, timesteps, encoder_hidden_states=embeddings).sample

    def denoiser(self, moving: bool) -> nn.Module:
        if not moving:
            raise ValueError("this video model has no image twin")
        return self._unet

    def decode(self, latents: Tensor) -> Frames:
        return self._starter.decode(latents)

    def encode_images(self, images: Frames) -> Tensor:
        return self._starter.encode_images(images)
