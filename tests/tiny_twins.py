"""Tiny image models that are the twins of video models."""

from __future__ import annotations

from typing import Any

import diffusers
from transformers import T5Config, T5EncoderModel

from tests.tiny_networks import image_vae, wake
from tests.tiny_text import WIDTH, open_clip, t5, t5_encoder


def stable_diffusion_2() -> Any:
    """Make one with v-prediction, like Stable Diffusion 2.1."""
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
        # The only noise scheduler here that scales its noise and its inputs.
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_schedule="scaled_linear", prediction_type="v_prediction", steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


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
    wake(transformer)
    return diffusers.PixArtAlphaPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=image_vae(),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )
