"""Stage 4: image denoiser and motion adapter, on clips and stills, the text encoder frozen.

The adapter's attention runs over frames only and never sees the text. The motion words of a prompt
reach the picture through the image denoiser's cross-attention, so that is trained further here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from starter.scene import Scene
from starter.train.data import Latents
from starter.train.loop import TrainingPlan, mixed_precision, train
from starter.train.stills import captions_of, draw_timesteps, velocity_loss
from starter.train.text import tokens

STILLS_SHARE = 1.0  # weight of the stills' loss, so that the image denoiser still makes images
# Centre and spread of the timesteps: much noise, where only the words tell the motion. With fewer
# clips there, half of the subjects did not learn to sway.
CLIP_TIMESTEPS = (1.2, 1.8)
ODDS = {"spinning": 2.0, "swaying": 8.0}  # weight of a motion's clips in sampling, if not 1
# Weights of errors that differ from frame to frame, relative to errors of the whole picture. They
# are small, but visible: as flicker where the clip holds still, as the wrong motion elsewhere.
FLICKER_WEIGHT = 10.0
MOTION_WEIGHT = 3.0
# Extra noise on each frame's tone. Without it, a frame's tone is fixed in the first steps and never
# corrected, and the whole picture flickers (offset noise: Guttenberg, 2023).
TONE_NOISE = 0.4


def shared_video_model(unet: UNet2DConditionModel, adapter: MotionAdapter) -> Any:
    """Build a video denoiser that shares its parameters with the image denoiser and the adapter.

    They are the same tensors, so that training one trains the others: the spatial parameters are
    the image denoiser's, the temporal ones the adapter's.
    """
    model: Any = UNetMotionModel.from_unet2d(unet, adapter)
    sources = {**dict(unet.named_parameters()), **dict(adapter.named_parameters())}
    for name, _ in list(model.named_parameters()):
        if name not in sources:
            raise ValueError(f"the video model's parameter {name} is in neither of its sources")
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, sources[name])
    return model


def clip_noise(latents: Tensor) -> Tensor:
    """Draw noise for clips (N, F, C, H, W): for each value, and for each frame's channel (tone)."""
    tone = torch.randn(*latents.shape[:3], 1, 1)
    return torch.randn_like(latents) + TONE_NOISE * tone


def clip_odds(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """Return the probability that each scene is drawn, (N,) with sum 1."""
    odds = np.array([ODDS.get(scene.motion, 1.0) for scene in scenes])
    return odds / odds.sum()


def temporal_loss(errors: Tensor, clips: Tensor, variance: Tensor) -> Tensor:
    """Return the weighted mean square of errors (N, F, C, H, W) minus their mean over frames.

    A channel of variance √λ stands for pixels of variance λ (see the autoencoder). So errors are
    weighted with their channel's variance, `variance` (C,), and count as much as they are visible.
    """
    still = (clips.amax(dim=1) == clips.amin(dim=1)).all(dim=1)[:, None, None]  # (N, 1, 1, H, W)
    weights = torch.where(still, FLICKER_WEIGHT, MOTION_WEIGHT)
    weights = weights * (variance / variance.mean())[:, None, None]
    return ((errors - errors.mean(dim=1, keepdim=True)).square() * weights).mean()


def train_clips(
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
    adapter: MotionAdapter,
    scheduler: Any,
    clips: Latents,
    stills: Latents,
    work: Path,
    *,
    steps: int,
    clip_batch: int = 3,
    still_batch: int = 8,
) -> None:
    """Train on the velocity of noised clips, and at the same time of noised stills.

    Differences between the frames of a clip count more than the rest of the error.
    """
    video = shared_video_model(unet, adapter)
    encoder.requires_grad_(False)
    for model in (unet, video):  # faster than fused attention, see the stills' stage
        model.set_attn_processor(AttnProcessor())

    sample = clips.take(np.arange(min(512, len(clips.scenes))))
    variance = sample.var(dim=(0, 1, 3, 4))

    odds = clip_odds(clips.scenes)

    def text_of(data: Latents, indices: np.ndarray, rng: np.random.Generator) -> Tensor:
        with torch.no_grad():
            return encoder(tokens(tokenizer, captions_of(data, indices, rng))).last_hidden_state

    def loss_of(draw: int) -> Tensor:
        rng = np.random.default_rng((41, draw))
        indices = rng.choice(len(odds), size=clip_batch, p=odds)
        latents = clips.take(indices)
        frames = latents.shape[1]
        timesteps = draw_timesteps(rng, clip_batch, *CLIP_TIMESTEPS)
        noise = clip_noise(latents)
        noised = scheduler.add_noise(latents, noise, timesteps).transpose(1, 2)
        text = text_of(clips, indices, rng).repeat_interleave(frames, dim=0)
        with mixed_precision():
            predicted = video(noised, timesteps, text).sample.transpose(1, 2)
        errors = predicted.float() - scheduler.get_velocity(latents, noise, timesteps)
        loss = errors.square().mean() + temporal_loss(errors, latents, variance)

        indices = rng.integers(len(stills.scenes), size=still_batch)
        latents = stills.take(indices)[:, 0]
        timesteps = draw_timesteps(rng, still_batch)
        noise = torch.randn_like(latents)
        noised = scheduler.add_noise(latents, noise, timesteps)
        text = text_of(stills, indices, rng)
        with mixed_precision():
            predicted = unet(noised, timesteps, text).sample
        still_loss = velocity_loss(predicted, latents, noise, timesteps, scheduler)
        return loss + STILLS_SHARE * still_loss

    modules = nn.ModuleDict({"unet": unet, "adapter": adapter})
    plan = TrainingPlan(
        steps=steps, learning_rate=8e-4, average=0.999, cooling=0.4, weight_decay=0.0
    )
    train("clips", modules, loss_of, plan, work)
