"""Wan 2.1 family: a transformer, trained by flow matching, behind umT5 XXL.

No image model has this text encoder, so the twin is the video model itself, at one frame.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor
from transformers import UMT5EncoderModel

from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles
from video.families.backbone_parts import backbone_parts
from video.families.options import SELF, Options, clip_size
from video.families.twin import load_twin
from video.models.autoencoder import ClipAutoencoder
from video.models.denoiser import Denoiser
from video.models.native import NativeBackbone
from video.models.token_counter import Cleaning
from video.models.tokens import Tokens

FOLDERS = ("tokenizer", "text_encoder", "vae", "transformer", "scheduler")
PROMPT_TOKENS = 512
SIZE = (832, 480)
DEFAULTS: dict[str, Any] = {
    "frames_max": 161,
    "frames_default": 81,
    "fps_default": 16,
    "steps_default": 50,
    "guidance_default": 5.0,
}


class Wan(Denoiser):
    """`WanTransformer3DModel`."""

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        transformer: Any = self.network
        return transformer(
            hidden_states=latents, timestep=timesteps, encoder_hidden_states=embeddings
        ).sample


def load_text_encoder(files: ModelFiles, options: Options) -> tuple[Tokens, TextEncoder]:
    """Load the tokenizer and umT5's encoder. Raises BackboneInvalid.

    The encoder does not attend to padding, and padding's embedding is zero.
    """
    tokenizer = files.tokenizer("T5Tokenizer", "T5TokenizerFast")
    tokens = Tokens(tokenizer, PROMPT_TOKENS, Cleaning.PLAIN_TEXT)
    module = files.load("text_encoder", UMT5EncoderModel, "auto")
    return tokens, options.text_encoder(module, padding="masked", pad_token=tokens.pad)


def load(files: ModelFiles, options: Options) -> NativeBackbone:
    """Load a `WanPipeline` with a single transformer. Raises BackboneInvalid."""
    tokens, text_encoder = load_text_encoder(files, options)
    vae: Any = files.load("vae", AutoencoderKLWan, torch.float32)
    vae.enable_tiling()
    pixels = int(vae.config.scale_factor_spatial)
    autoencoder = ClipAutoencoder(
        vae,
        channels=int(vae.config.z_dim),
        shrinks=(pixels, int(vae.config.scale_factor_temporal)),
        mean=torch.tensor(vae.config.latents_mean),
        std=torch.tensor(vae.config.latents_std),
    )
    transformer: Any = files.load("transformer", WanTransformer3DModel, options.dtype)
    size = clip_size(options, SIZE, pixels * transformer.config.patch_size[1])
    video = Wan(
        transformer,
        autoencoder,
        files.noise_scheduler(),
        size,
        options.placement,
        options.dtype,
    )
    return NativeBackbone(
        backbone_parts(files, options, tokens, text_encoder, size, DEFAULTS),
        video=video,
        image=load_twin(options.twin or SELF, video, text_encoder, options),
    )
