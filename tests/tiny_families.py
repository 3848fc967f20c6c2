"""Tiny random models of every family, saved by stock diffusers as a user's are: built in a second,
run in milliseconds. They draw nothing recognisable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn
from transformers import (
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from tests import tiny
from tests.tiny_text import WIDTH, open_clip, t5, t5_encoder

SIDE = 32
"""Pixels a side of every model's clips."""


def build(family: str, directory: Path) -> Path:
    """Writes a model of that family; the same bytes every time."""
    return _written(BUILDERS[family], directory)


def build_twin(family: str, directory: Path) -> Path:
    """Writes the image twin of a family that has one: its text encoder is the same."""
    return _written(TWINS[family], directory)


def _written(make: Callable[[], Any], directory: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().save_pretrained(directory)
    book = {**tiny.PROMPTS, "defaults": {"steps": 2, "frames": 4}}
    (directory / "prompts.json").write_text(json.dumps(book))
    return directory


def modelscope() -> Any:
    tokenizer, text_encoder = open_clip()
    unet = diffusers.UNet3DConditionModel(
        sample_size=SIDE // 8,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    _wake(unet)
    return diffusers.TextToVideoSDPipeline(
        vae=image_vae(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    )


def stable_diffusion_2() -> Any:
    """v-prediction, as Stable Diffusion 2.1 has."""
    tokenizer, text_encoder = open_clip()
    return diffusers.StableDiffusionPipeline(
        vae=image_vae(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
            norm_num_groups=4,
            use_linear_projection=True,
        ),
        # Which scales its noise and its inputs, as no other scheduler here does.
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_schedule="scaled_linear", prediction_type="v_prediction", steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def cogvideox(**changes: Any) -> Any:
    tokenizer, text_encoder = t5(), t5_encoder(T5EncoderModel, T5Config)
    transformer = diffusers.CogVideoXTransformer3DModel(
        **{
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "in_channels": 4,
            "out_channels": 4,
            "time_embed_dim": 8,
            "text_embed_dim": WIDTH,
            "num_layers": 2,
            "sample_width": SIDE // 8,
            "sample_height": SIDE // 8,
            "sample_frames": 9,
            "patch_size": 2,
            "max_text_seq_length": 24,
            **changes,
        }
    )
    _wake(transformer)
    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
        sample_height=8 * SIDE,  # half of it is the size of a tile
        sample_width=8 * SIDE,
        scaling_factor=1.15,
    )
    return diffusers.CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=3.0,
            timestep_spacing="trailing",
        ),
    )


def cogvideox_1_5() -> Any:
    """Rotary positions, and latent frames two to a patch."""
    return cogvideox(
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=False,
        patch_size_t=2,
        patch_bias=False,
    )


def cogvideox_5b() -> Any:
    return cogvideox(use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True)


def pixart() -> Any:
    tokenizer, text_encoder = t5(), t5_encoder(T5EncoderModel, T5Config)
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=WIDTH,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
    )
    _wake(transformer)
    return diffusers.PixArtAlphaPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=image_vae(),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


def wan() -> Any:
    transformer = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=WIDTH,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    _wake(transformer)
    for name, parameter in transformer.named_parameters():  # the prompt is hardly heard otherwise
        if parameter.ndim == 2 and ("text_embedder" in name or "attn2" in name):
            parameter.data.mul_(4)
    return diffusers.WanPipeline(
        tokenizer=t5(),
        text_encoder=t5_encoder(UMT5EncoderModel, UMT5Config),
        transformer=transformer,
        vae=diffusers.AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )


def wan_2_2() -> Any:
    """Two transformers in turn."""
    one, other = wan(), wan()
    return diffusers.WanPipeline(
        **one.components | {"transformer_2": other.transformer, "boundary_ratio": 0.5}
    )


def ltx() -> Any:
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=WIDTH,
        num_layers=1,
        caption_channels=WIDTH,
    )
    _wake(transformer)
    return diffusers.LTXPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=diffusers.AutoencoderKLLTXVideo(
            in_channels=3,
            out_channels=3,
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            spatio_temporal_scaling=(True, True, False, False),
            decoder_spatio_temporal_scaling=(True, True, False, False),
            decoder_inject_noise=(False, False, False, False, False),
            upsample_residual=(False, False, False, False),
            upsample_factor=(1, 1, 1, 1),
            timestep_conditioning=False,
            patch_size=1,
            patch_size_t=1,
            encoder_causal=True,
            decoder_causal=False,
        ),
        text_encoder=t5_encoder(T5EncoderModel, T5Config),
        tokenizer=t5(),
        transformer=transformer,
    )


def latte() -> Any:
    transformer = diffusers.LatteTransformer3DModel(
        sample_size=SIDE // 8,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=WIDTH,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
    )
    _wake(transformer)
    return diffusers.LattePipeline(
        tokenizer=t5(),
        text_encoder=t5_encoder(T5EncoderModel, T5Config),
        vae=image_vae(),
        transformer=transformer,
        scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1),
    )


def mochi() -> Any:
    transformer = diffusers.MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        out_channels=None,
        qk_norm="rms_norm",
        text_embed_dim=WIDTH,
        time_embed_dim=4,
        activation_fn="swiglu",
        max_sequence_length=256,
    )
    _wake(transformer)
    return diffusers.MochiPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=diffusers.AutoencoderKLMochi(
            latent_channels=12,
            out_channels=3,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        text_encoder=t5_encoder(T5EncoderModel, T5Config),
        tokenizer=t5(),
        transformer=transformer,
    )


def image_vae() -> Any:
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def _wake(network: nn.Module) -> None:
    """Layers that begin at zero would let neither prompt nor time through."""
    for parameter in network.parameters():
        if parameter.ndim >= 2 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)


BUILDERS: Mapping[str, Callable[[], Any]] = {
    "modelscope": modelscope,
    "cogvideox": cogvideox,
    "cogvideox-5b": cogvideox_5b,
    "cogvideox-1.5": cogvideox_1_5,
    "wan": wan,
    "wan-2.2": wan_2_2,
    "ltx": ltx,
    "latte": latte,
    "mochi": mochi,
}
TWINS: Mapping[str, Callable[[], Any]] = {
    "modelscope": stable_diffusion_2,
    "cogvideox": pixart,
    "cogvideox-5b": pixart,
    "cogvideox-1.5": pixart,
}
