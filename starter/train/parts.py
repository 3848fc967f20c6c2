"""The parts of the built-in model, untrained: stock classes at sizes that two cores can train."""

from __future__ import annotations

from typing import Any

from diffusers import DDIMScheduler, MotionAdapter, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from starter.tokenizer import MAX_LENGTH
from starter.train.autoencoder import LATENT_CHANNELS

TEXT_WIDTH = 192
CHANNELS = (96, 160)
GROUPS = 16
FRAME_LIMIT = 24  # the longest clip that the adapter has positions for


def new_text_encoder(tokenizer: Any) -> CLIPTextModel:
    """Build a four-layer CLIP text model for the tokenizer's vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=4,
            num_attention_heads=6,
            max_position_embeddings=MAX_LENGTH,
            hidden_act="quick_gelu",
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_unet() -> UNet2DConditionModel:
    """Build the image denoiser: two levels, text at both and in the middle."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=GROUPS,
        cross_attention_dim=TEXT_WIDTH,
    )


def new_motion_adapter() -> MotionAdapter:
    """Build attention over frames after every level; untrained, it leaves frames unchanged."""
    adapter = MotionAdapter(
        block_out_channels=CHANNELS,
        motion_layers_per_block=1,
        motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=4,
        motion_norm_num_groups=GROUPS,
        motion_max_seq_length=FRAME_LIMIT,
        use_motion_mid_block=True,
    )
    for name, parameter in adapter.named_parameters():
        if "proj_out" in name:
            parameter.data.zero_()
    return adapter


def new_scheduler() -> DDIMScheduler:
    """Build a scheduler: velocity prediction on a schedule that ends in pure noise.

    So backgrounds keep their tone. Zero terminal SNR, trailing steps: Lin et al., "Common Diffusion
    Noise Schedules and Sample Steps are Flawed", arXiv 2305.08891.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=0,
    )
