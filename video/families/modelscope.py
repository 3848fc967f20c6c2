"""ModelScope family, with ZeroScope: a 3-D U-Net behind the text encoder of Stable Diffusion 2.x.

Stable Diffusion 2.x is its image twin. They share the text encoder only: the denoisers were trained
separately.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from torch import Tensor

from video.checkpoints.diffusers_directory import ModelFiles
from video.families.animatediff import load_text_encoder
from video.families.backbone_parts import backbone_parts
from video.families.options import Options, clip_size
from video.families.stable_diffusion import native_side
from video.families.twin import load_chosen_twin
from video.models.autoencoder import FrameAutoencoder
from video.models.denoiser import Denoiser
from video.models.native import NativeBackbone

__all__ = ["FOLDERS", "UNet3D", "load", "load_text_encoder"]

FOLDERS = ("tokenizer", "text_encoder", "vae", "unet", "scheduler")
DEFAULTS: dict[str, Any] = {
    "frames_max": 128,
    "frames_default": 16,
    "steps_default": 25,
    "guidance_default": 9.0,
}


class UNet3D(Denoiser):
    """`UNet3DConditionModel`, which itself repeats a clip's embedding for each frame."""

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        unet: Any = self.network
        return unet(latents, timesteps, encoder_hidden_states=embeddings).sample


def load(files: ModelFiles, options: Options) -> NativeBackbone:
    """Load a `TextToVideoSDPipeline` and its image twin. Raises BackboneInvalid."""
    tokens, text_encoder = load_text_encoder(files, options)
    autoencoder = FrameAutoencoder(files.load("vae", AutoencoderKL, torch.float32))
    unet: Any = files.load("unet", UNet3DConditionModel, options.dtype)
    side = native_side(unet, autoencoder)
    multiple = autoencoder.shrinks * 2 ** (len(unet.config.block_out_channels) - 1)
    size = clip_size(options, (side, side), multiple)
    video = UNet3D(
        unet, autoencoder, files.noise_scheduler(), size, options.placement, options.dtype
    )
    return NativeBackbone(
        backbone_parts(files, options, tokens, text_encoder, size, DEFAULTS),
        video=video,
        image=load_chosen_twin(files, video, text_encoder, options),
    )
