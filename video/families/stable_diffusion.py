"""Stable Diffusion 1.x and 2.x: the image twin of the families with its text encoder."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from video.checkpoints.diffusers_directory import ModelFiles
from video.models.autoencoder import FrameAutoencoder
from video.models.denoiser import Denoiser
from video.models.placement import Placement


class StableDiffusion(Denoiser):
    """`UNet2DConditionModel` over `AutoencoderKL`."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        autoencoder: FrameAutoencoder,
        noise_scheduler: Any,
        placement: Placement,
        dtype: torch.dtype,
    ) -> None:
        side = native_side(unet, autoencoder)
        super().__init__(unet, autoencoder, noise_scheduler, (side, side), placement, dtype)

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        unet: Any = self.network
        return unet(latents, timesteps, encoder_hidden_states=embeddings).sample


def native_side(unet: Any, autoencoder: FrameAutoencoder) -> int:
    """Return the side in pixels of the pictures that a U-Net was trained with."""
    return int(unet.config.sample_size) * autoencoder.shrinks


def load_twin(files: ModelFiles, placement: Placement, dtype: torch.dtype) -> StableDiffusion:
    """Load a Stable Diffusion model's denoiser and autoencoder. Raises BackboneInvalid."""
    return StableDiffusion(
        files.load("unet", UNet2DConditionModel, dtype),
        FrameAutoencoder(files.load("vae", AutoencoderKL, torch.float32)),
        files.noise_scheduler(),
        placement,
        dtype,
    )
