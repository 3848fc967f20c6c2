"""Tiny models of the families that run as stock pipelines."""

from __future__ import annotations

from typing import Any

import diffusers
from transformers import T5Config, T5EncoderModel

from tests.tiny_native import wan
from tests.tiny_networks import SIDE, image_vae, wake
from tests.tiny_text import WIDTH, t5, t5_encoder


def wan_2_2() -> Any:
    """Make one with two transformers, used in turn."""
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
    wake(transformer)
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
    wake(transformer)
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
    wake(transformer)
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
