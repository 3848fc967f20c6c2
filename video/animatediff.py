"""The AnimateDiff family: a Stable Diffusion image model and a motion adapter over it.

The image U-Net is the twin used for unlearning. The video model is that U-Net with temporal layers
between its own; here the two hold *the same* tensors, so a backbone costs the U-Net once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import diffusers
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter, UNetMotionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from encoders import TextEncoder
from video.attention import SharedText
from video.backbone import (
    Backbone,
    BackboneInvalid,
    Frames,
    Limits,
    PredictionType,
    PromptBook,
    read_defaults,
    read_prompts,
)

DECODE_CHUNK = 16
"""Frames through the autoencoder at a time, as the stock pipeline does: bounds its memory."""

COMPONENTS = {
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "text_encoder": ("CLIPTextModel",),
    "vae": ("AutoencoderKL",),
    "unet": ("UNet2DConditionModel",),
    "motion_adapter": ("MotionAdapter",),
}


class AnimateDiff(Backbone):
    """`CLIPTextModel` → `UNet2DConditionModel` / `UNetMotionModel` → `AutoencoderKL`."""

    def __init__(
        self,
        *,
        name: str,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        motion_adapter: MotionAdapter,
        scheduler: SchedulerMixin,
        prompts: PromptBook,
        defaults: dict[str, Any],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.name = name
        self.prompts = prompts
        self.device = device
        self.dtype = dtype
        # diffusers' configurations are untyped: Any from here on.
        self._tokenizer = tokenizer
        self._scheduler: Any = scheduler
        self._vae = _frozen(vae, device)
        self._image_unet = _frozen(unet, device)
        self._video_unet = video_unet(unet, _frozen(motion_adapter, device))
        # oneDNN's convolutions are faster so. The image denoiser's are the same tensors.
        self._video_unet.to(memory_format=torch.channels_last)
        self.text_encoder = TextEncoder(text_encoder, device=device)
        self.prediction_type = cast(PredictionType, self._scheduler.config.prediction_type)
        self.alphas_cumprod = self._scheduler.alphas_cumprod.float().to(device)
        self._latent_size = int(self._image_unet.config.sample_size)
        side = self._latent_size * 2 ** (len(self._vae.config.block_out_channels) - 1)
        self.limits = Limits(
            native_width=side,
            native_height=side,
            frames_max=int(cast(Any, motion_adapter).config.motion_max_seq_length),
            prompt_tokens=int(tokenizer.model_max_length),
            **defaults,
        )

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.limits.prompt_tokens,
            truncation=True,
            return_tensors="pt",
        )
        return cast(Tensor, tokens.input_ids).to(self.device)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return cast(str, self._tokenizer.decode(list(tokens)))

    def prompt_tokens(self, prompt: str) -> int:
        return len(cast(Any, self._tokenizer(prompt, verbose=False)).input_ids)

    def scheduler(self) -> SchedulerMixin:
        return type(self._scheduler).from_config(self._scheduler.config)

    def initial_latents(self, seed: int, frames: int | None) -> Tensor:
        channels = int(self._image_unet.config.in_channels)
        time = () if frames is None else (frames,)
        shape = (1, channels, *time, self._latent_size, self._latent_size)
        generator = torch.Generator("cpu").manual_seed(seed)
        return torch.randn(shape, generator=generator).to(self.device)

    def denoise(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        unet: Any = self.denoiser(latents.ndim == 5)
        prediction = unet(
            latents.to(self.dtype),
            timesteps.to(self.device),
            encoder_hidden_states=embeddings.to(self.dtype),
        ).sample
        return prediction.float()

    def denoiser(self, moving: bool) -> nn.Module:
        return self._video_unet if moving else self._image_unet

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Frames:
        if len(latents) != 1:
            raise ValueError(f"decode takes one clip or still at a time, not {len(latents)}")
        frames = latents[0].transpose(0, 1) if latents.ndim == 5 else latents
        frames = frames / self._vae.config.scaling_factor
        pixels = [self._vae.decode(part).sample for part in frames.split(DECODE_CHUNK)]
        unit = (torch.cat(pixels) / 2 + 0.5).clamp(0, 1)
        return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    @torch.no_grad()
    def encode_images(self, images: Frames) -> Tensor:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images must be uint8 (N,H,W,3), not {images.dtype} {images.shape}")
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2) / 127.5 - 1
        size = (self.limits.native_height, self.limits.native_width)
        if pixels.shape[-2:] != size:
            pixels = functional.interpolate(pixels, size, mode="bicubic", antialias=True)
            pixels = pixels.clamp(-1, 1)
        pixels = pixels.to(self.device)
        means = [self._vae.encode(part).latent_dist.mode() for part in pixels.split(DECODE_CHUNK)]
        return torch.cat(means) * self._vae.config.scaling_factor


def video_unet(unet: UNet2DConditionModel, adapter: MotionAdapter) -> Any:
    """The stock motion U-Net, holding the very tensors of `unet` and `adapter`, not copies. It
    takes a text's embedding once for all frames of a clip.

    Raises:
        BackboneInvalid: the adapter was made for a U-Net of another shape.
    """
    with torch.device("meta"):  # shapes only: every tensor is put in below
        motion = cast(Any, UNetMotionModel.from_unet2d(unet, adapter, load_weights=False))
    tensors = {**_tensors(adapter), **_tensors(unet)}
    for name, placeholder in _tensors(motion).items():
        tensor = tensors.get(name)
        if tensor is None or tensor.shape != placeholder.shape:
            raise BackboneInvalid(f"the motion adapter does not fit the U-Net at {name}")
        owner, _, leaf = name.rpartition(".")
        setattr(motion.get_submodule(owner), leaf, tensor)
    motion.set_attn_processor(SharedText())
    return motion.eval()


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def load_animatediff(
    directory: Path,
    index: dict[str, Any],
    *,
    name: str,
    device: str | torch.device,
    dtype: torch.dtype | None,
) -> AnimateDiff:
    """Loads a directory of stock classes, `index` being its `model_index.json`; no pickles.

    `dtype` is the denoiser's; text encoder and autoencoder stay in float32.

    Raises:
        BackboneInvalid: a component is missing, is of another class, lacks weights or has
            weights in another format than safetensors.
    """
    for component, classes in COMPONENTS.items():
        entry = index.get(component)
        if not isinstance(entry, list) or entry[-1] not in classes:
            raise BackboneInvalid(f"{directory}: {component} must be a {classes[0]}, not {entry}")
    scheduler_class = getattr(diffusers, str(index.get("scheduler", [None, None])[-1]), None)
    if not (isinstance(scheduler_class, type) and issubclass(scheduler_class, SchedulerMixin)):
        raise BackboneInvalid(f"{directory}: scheduler is no diffusers scheduler")
    dtype = dtype or torch.float32
    try:
        return AnimateDiff(
            name=name,
            tokenizer=CLIPTokenizer.from_pretrained(directory / "tokenizer", local_files_only=True),
            # These run once a request, so that full precision costs little: what an encoder changes
            # is small, and an autoencoder's rounding would flicker from frame to frame.
            text_encoder=_load(CLIPTextModel, directory / "text_encoder", dtype=torch.float32),
            vae=_load(AutoencoderKL, directory / "vae", torch_dtype=torch.float32),
            unet=_load(UNet2DConditionModel, directory / "unet", torch_dtype=dtype),
            motion_adapter=_load(MotionAdapter, directory / "motion_adapter", torch_dtype=dtype),
            scheduler=cast(Any, scheduler_class).from_pretrained(directory / "scheduler"),
            prompts=read_prompts(directory),
            defaults=read_defaults(directory),
            device=torch.device(device),
            dtype=dtype,
        )
    except (OSError, ValueError, TypeError) as error:
        raise BackboneInvalid(f"{directory} cannot be loaded: {error}") from error


def _load(kind: Any, directory: Path, **dtype: torch.dtype) -> Any:
    """`kind.from_pretrained` that takes safetensors only and never leaves weights at random."""
    model, info = kind.from_pretrained(
        directory, use_safetensors=True, local_files_only=True, output_loading_info=True, **dtype
    )
    if info["missing_keys"] or info["mismatched_keys"]:
        lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise BackboneInvalid(f"{directory} lacks weights, or has misshapen ones: {lacking[:3]}")
    return model


def _frozen(module: nn.Module, device: torch.device) -> Any:
    return module.to(device).eval().requires_grad_(False)
