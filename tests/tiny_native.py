"""Tiny video models of the native families, as stock pipelines."""

from __future__ import annotations

from typing import Any

import diffusers
from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

from tests.tiny_networks import SIDE, image_vae, wake
from tests.tiny_text import WIDTH, open_clip, t5, t5_encoder


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
    wake(unet)
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
    wake(transformer)
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
    """Make one with rotary positions, and two latent frames in a patch."""
    return cogvideox(
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=False,
        patch_size_t=2,
        patch_bias=False,
    )


def cogvideox_5b() -> Any:
    return cogvideox(use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True)


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
    wake(transformer)
    for name, parameter in transformer.named_parameters():  # otherwise the prompt has little effect
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
