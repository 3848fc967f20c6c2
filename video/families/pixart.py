"""PixArt-α: the image twin of video models with T5 v1.1 XXL as their text encoder."""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel
from torch import Tensor

from video.checkpoints.diffusers_directory import ModelFiles
from video.models.autoencoder import FrameAutoencoder
from video.models.denoiser import Denoiser
from video.models.placement import Placement


class PixArt(Denoiser):
    """`PixArtTransformer2DModel` over `AutoencoderKL`."""

    drops_padding = True

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        transformer: Any = self.network
        prediction = transformer(
            latents,
            encoder_hidden_states=embeddings,
            encoder_attention_mask=(embeddings != 0).any(2).to(self.dtype),
            timestep=timesteps,
            added_cond_kwargs=self._conditions(len(latents)),
        ).sample
        # The other half of the channels is a variance, which samplers ignore.
        return prediction[:, : latents.shape[1]]

    def _conditions(self, samples: int) -> dict[str, Tensor | None]:
        """Return the picture's size, an input of the 1024-pixel models only."""
        if not cast(Any, self.network).use_additional_conditions:
            return {"resolution": None, "aspect_ratio": None}
        width, height = self.size
        like: dict[str, Any] = {"dtype": self.dtype, "device": self.placement.device}
        return {
            "resolution": torch.tensor([[height, width]] * samples, **like),
            "aspect_ratio": torch.tensor([[height / width]] * samples, **like),
        }


def load_twin(files: ModelFiles, placement: Placement, dtype: torch.dtype) -> PixArt:
    """Load a PixArt model's denoiser and autoencoder. Raises BackboneInvalid."""
    autoencoder = FrameAutoencoder(files.load("vae", AutoencoderKL, torch.float32))
    transformer: Any = files.load("transformer", PixArtTransformer2DModel, dtype)
    side = int(transformer.config.sample_size) * autoencoder.shrinks
    return PixArt(transformer, autoencoder, files.noise_scheduler(), (side, side), placement, dtype)
