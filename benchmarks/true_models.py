"""Networks of widely used models, made from their published configurations, without weights.

On torch's meta device they have shapes and take no memory. On a GPU they are as large as the real
ones, with random weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel, UMT5EncoderModel
from transformers.models.umt5.configuration_umt5 import UMT5Config

from benchmarks.harness import clip_vit_l_config
from video.families.animatediff import AnimateDiff
from video.families.cogvideox import CogVideoX
from video.families.modelscope import UNet3D
from video.families.pixart import PixArt
from video.families.stable_diffusion import StableDiffusion
from video.families.wan import Wan
from video.models.autoencoder import ClipAutoencoder, FrameAutoencoder
from video.models.denoiser import Denoiser
from video.models.placement import Placement

HALF = torch.bfloat16
WIDTHS = (320, 640, 1280, 1280)


@dataclass(frozen=True)
class TrueModel:
    """One model at its true size."""

    name: str
    text_encoder: Callable[[], nn.Module]
    prompt_tokens: int
    attended: bool
    """True if padding is attended to, and so computed."""
    denoisers: Callable[[Placement], tuple[Denoiser, Denoiser | None]]
    """Make the denoisers: of clips, and of the image twin if that is another network."""
    frames: int


def on_cpu(scheduler: Callable[..., Any], **options: Any) -> Any:
    """Make a noise scheduler on the CPU: it computes tables, which need values."""
    with torch.device("cpu"):
        return scheduler(**options)


def clip_vit_l() -> nn.Module:
    """Make CLIP ViT-L/14's text encoder, of Stable Diffusion 1.x."""
    return CLIPTextModel(clip_vit_l_config())


def open_clip_vit_h() -> nn.Module:
    """Make OpenCLIP ViT-H/14's text encoder without its last layer, of Stable Diffusion 2.x."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=23,
            num_attention_heads=16,
            hidden_act="gelu",
        )
    )


_XXL: dict[str, Any] = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}


def t5_xxl() -> nn.Module:
    """Make T5 v1.1 XXL's encoder, in bfloat16."""
    encoder: Any = T5EncoderModel(T5Config(vocab_size=32128, **_XXL))
    return encoder.to(HALF)


def umt5_xxl() -> nn.Module:
    """Make UMT5 XXL's encoder, in bfloat16."""
    encoder: Any = UMT5EncoderModel(UMT5Config(vocab_size=256384, **_XXL))
    return encoder.to(HALF)


def image_autoencoder() -> FrameAutoencoder:
    """Make the autoencoder of Stable Diffusion, for single frames."""
    blocks: Any = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4
    widths: Any = (128, 256, 512, 512)
    return FrameAutoencoder(
        diffusers.AutoencoderKL(
            down_block_types=blocks[0],
            up_block_types=blocks[1],
            block_out_channels=widths,
            layers_per_block=2,
            sample_size=512,
        )
    )


def animatediff(placement: Placement) -> tuple[Denoiser, Denoiser | None]:
    """Make AnimateDiff's motion modules over Stable Diffusion 1.5, and that as the twin."""
    widths: Any = WIDTHS
    unet: Any = diffusers.UNet2DConditionModel(
        sample_size=64, block_out_channels=widths, cross_attention_dim=768
    )
    adapter: Any = diffusers.MotionAdapter(block_out_channels=widths, motion_max_seq_length=32)
    autoencoder, scheduler = image_autoencoder(), on_cpu(diffusers.DDIMScheduler)
    unet, adapter = unet.to(HALF), adapter.to(HALF)
    # The twin shares the video model's tensors.
    return (
        AnimateDiff(unet, adapter, autoencoder, scheduler, (512, 512), placement, HALF),
        StableDiffusion(unet, autoencoder, scheduler, placement, HALF),
    )


def modelscope(placement: Placement) -> tuple[Denoiser, Denoiser | None]:
    """Make ModelScope 1.7B, and Stable Diffusion 2.1 as its twin."""
    unet: Any = diffusers.UNet3DConditionModel(
        sample_size=32, cross_attention_dim=1024, attention_head_dim=64
    )
    heads: Any = (5, 10, 20, 20)
    twin: Any = diffusers.UNet2DConditionModel(
        sample_size=64,
        block_out_channels=WIDTHS,
        cross_attention_dim=1024,
        attention_head_dim=heads,
        use_linear_projection=True,
    )
    scheduler = on_cpu(diffusers.DDIMScheduler)
    return (
        UNet3D(unet.to(HALF), image_autoencoder(), scheduler, (256, 256), placement, HALF),
        StableDiffusion(twin.to(HALF), image_autoencoder(), scheduler, placement, HALF),
    )


def cogvideox_2b(placement: Placement) -> tuple[Denoiser, Denoiser | None]:
    """Make CogVideoX-2b, and PixArt-α as its twin."""
    widths: Any = (128, 256, 256, 512)
    vae: Any = diffusers.AutoencoderKLCogVideoX(
        block_out_channels=widths, latent_channels=16, scaling_factor=1.15258426
    )
    vae.enable_slicing()
    vae.enable_tiling()
    clips = ClipAutoencoder(vae.to(HALF), channels=16, shrinks=(8, 4), mean=0.0, std=1.0)
    transformer: Any = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=30, num_layers=30, sample_width=90, sample_height=60
    )
    scheduler = on_cpu(diffusers.CogVideoXDDIMScheduler, prediction_type="v_prediction")
    twin: Any = diffusers.PixArtTransformer2DModel(
        sample_size=64,
        caption_channels=4096,
        cross_attention_dim=1152,
        use_additional_conditions=False,
    )
    solver = on_cpu(diffusers.DPMSolverMultistepScheduler)
    return (
        CogVideoX(transformer.to(HALF), clips, scheduler, (720, 480), placement, HALF),
        PixArt(twin.to(HALF), image_autoencoder(), solver, (512, 512), placement, HALF),
    )


def wan_1_3b(placement: Placement) -> tuple[Denoiser, Denoiser | None]:
    """Make Wan 2.1 1.3B, which has no twin."""
    return _wan(placement, num_attention_heads=12, ffn_dim=8960, num_layers=30), None


def wan_14b(placement: Placement) -> tuple[Denoiser, Denoiser | None]:
    """Make Wan 2.1 14B, which has no twin."""
    return _wan(placement, num_attention_heads=40, ffn_dim=13824, num_layers=40), None


def _wan(placement: Placement, **sizes: Any) -> Denoiser:
    vae: Any = diffusers.AutoencoderKLWan()
    vae.enable_tiling()
    clips = ClipAutoencoder(vae, channels=16, shrinks=(8, 4), mean=0.0, std=1.0)
    transformer: Any = diffusers.WanTransformer3DModel(**sizes)
    scheduler = on_cpu(
        diffusers.UniPCMultistepScheduler,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=3.0,
    )
    return Wan(transformer.to(HALF), clips, scheduler, (832, 480), placement, HALF)


MODELS: Mapping[str, TrueModel] = {
    model.name: model
    for model in (
        TrueModel("SD 1.5 + AnimateDiff", clip_vit_l, 77, True, animatediff, 16),
        TrueModel("ModelScope 1.7B", open_clip_vit_h, 77, True, modelscope, 16),
        TrueModel("CogVideoX-2b", t5_xxl, 226, True, cogvideox_2b, 49),
        TrueModel("Wan 2.1 1.3B", umt5_xxl, 512, False, wan_1_3b, 81),
        TrueModel("Wan 2.1 14B", umt5_xxl, 512, False, wan_14b, 81),
    )
}
