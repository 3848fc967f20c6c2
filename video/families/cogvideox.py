"""CogVideoX family: a transformer over text and clip, behind T5 v1.1 XXL.

Its image twin is PixArt-α, which has the same text encoder.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import AutoencoderKLCogVideoX
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from torch import Tensor
from transformers import T5EncoderModel

from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles
from video.errors import BackboneInvalid
from video.families.backbone_parts import backbone_parts
from video.families.options import Options, clip_size
from video.families.twin import load_chosen_twin
from video.frames import Frames
from video.models.autoencoder import ClipAutoencoder
from video.models.denoiser import Denoiser
from video.models.native import NativeBackbone
from video.models.tokens import Tokens

FOLDERS = ("tokenizer", "text_encoder", "vae", "transformer", "scheduler")
DEFAULTS: dict[str, Any] = {
    "frames_max": 161,
    "steps_default": 50,
    "guidance_default": 6.0,
    "fps_default": 8,
}


class CogVideoX(Denoiser):
    """`CogVideoXTransformer3DModel`, whose latents have frames before channels."""

    def _draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        frames, *plane = shape
        frames += -frames % self._frames_to_a_patch
        drawn = torch.randn(1, frames, self.autoencoder.channels, *plane, generator=generator)
        return drawn.transpose(1, 2)

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        transformer: Any = self.network
        return transformer(
            hidden_states=latents.transpose(1, 2),
            encoder_hidden_states=embeddings,
            timestep=timesteps,
            image_rotary_emb=self._rotary(latents.shape[2]),
        ).sample.transpose(1, 2)

    def decode(self, latents: Tensor, frames: int | None = None) -> Frames:
        if frames is not None:
            wanted = self.autoencoder.latent_size(frames, self.size)[0]
            latents = latents[:, :, latents.shape[2] - wanted :]
        return super().decode(latents, frames)

    @property
    def _frames_to_a_patch(self) -> int:
        """Number of latent frames in one patch: 2 for CogVideoX 1.5, otherwise 1.

        Surplus latent frames come first, and `decode` leaves them out.
        """
        network: Any = self.network
        return network.config.patch_size_t or 1

    def _rotary(self, frames: int) -> tuple[Tensor, Tensor] | None:
        """Return the patches' rotary embedding (Su et al. 2021, arXiv 2104.09864).

        As in the stock pipeline. None for the 2b model, which adds positions of its own.
        """
        network: Any = self.network
        config = network.config
        if not config.use_rotary_positional_embeddings:
            return None
        _, height, width = self.autoencoder.latent_size(1, self.size)
        grid = (height // config.patch_size, width // config.patch_size)
        native = (
            config.sample_height // config.patch_size,
            config.sample_width // config.patch_size,
        )
        place: dict[str, Any]
        if config.patch_size_t is None:
            region = get_resize_crop_region_for_grid(grid, native[1], native[0])
            place = {"crops_coords": region, "temporal_size": frames}
        else:
            times = (frames + config.patch_size_t - 1) // config.patch_size_t
            place = {
                "crops_coords": None,
                "temporal_size": times,
                "grid_type": "slice",
                "max_size": native,
            }
        cos, sin = get_3d_rotary_pos_embed(
            embed_dim=config.attention_head_dim,
            grid_size=grid,
            device=self.placement.device,
            **place,
        )
        return cos, sin


def load_text_encoder(files: ModelFiles, options: Options) -> tuple[Tokens, TextEncoder]:
    """Load the tokenizer and T5's encoder, which attends to padding. Raises BackboneInvalid."""
    tokenizer = files.tokenizer("T5Tokenizer", "T5TokenizerFast")
    module = files.load("text_encoder", T5EncoderModel, "auto")
    length = int(files.config("transformer").get("max_text_seq_length", 226))
    return Tokens(tokenizer, length), options.text_encoder(module)


def load(files: ModelFiles, options: Options) -> NativeBackbone:
    """Load a `CogVideoXPipeline` and its image twin. Raises BackboneInvalid."""
    # Its other scheduler, DPM, also needs the previous prediction, unlike all others here.
    files.require("scheduler", "CogVideoXDDIMScheduler")
    tokens, text_encoder = load_text_encoder(files, options)
    vae: Any = files.load("vae", AutoencoderKLCogVideoX, options.dtype)
    vae.enable_slicing()
    vae.enable_tiling()
    pixels = 2 ** (len(vae.config.block_out_channels) - 1)
    autoencoder = ClipAutoencoder(
        vae,
        channels=int(vae.config.latent_channels),
        shrinks=(pixels, int(vae.config.temporal_compression_ratio)),
        mean=0.0,
        std=1 / vae.config.scaling_factor,
    )
    transformer: Any = files.load("transformer", CogVideoXTransformer3DModel, options.dtype)
    config = transformer.config
    native = (config.sample_width * pixels, config.sample_height * pixels)
    size = clip_size(options, native, pixels * config.patch_size)
    if config.use_learned_positional_embeddings and size != native:
        raise BackboneInvalid(
            f"{files.directory} has learned the positions of {native[0]}x{native[1]} pixels, and "
            f"makes no clips of {size[0]}x{size[1]}: leave PALIMPSEST_SIZE out."
        )
    video = CogVideoX(
        transformer,
        autoencoder,
        files.noise_scheduler(),
        size,
        options.placement,
        options.dtype,
    )
    return NativeBackbone(
        backbone_parts(
            files,
            options,
            tokens,
            text_encoder,
            size,
            {"frames_default": int(config.sample_frames), **DEFAULTS},
        ),
        video=video,
        image=load_chosen_twin(files, video, text_encoder, options),
    )
