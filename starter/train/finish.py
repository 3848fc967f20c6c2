"""Stage 5: the decoder again, on what the denoiser makes of noised clips.

A denoiser's frames differ from each other by small errors where nothing moves, and a decoder that
has seen only true latents turns these into flicker. Trained on the denoiser's own estimates of
clips it takes them back to the picture they were meant to be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import MotionAdapter, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from starter.train.autoencoder import freeze_encoder, reconstruction_loss, to_tensor
from starter.train.clips import shared_video_model
from starter.train.data import Latents
from starter.train.loop import Plan, mixed_precision, train
from starter.train.stills import captions_of
from starter.train.text import tokens

LATEST = 250  # of 1000: the noisiest timestep whose estimates still say which picture is meant


def train_finish(
    vae: Any,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
    adapter: MotionAdapter,
    scheduler: Any,
    clips: Latents,
    work: Path,
    *,
    steps: int,
) -> None:
    """Train the decoder on estimates x₀ = √ᾱ x_t − √(1−ᾱ) v of one clip a step, all else frozen."""
    video = shared_video_model(unet, adapter).eval()
    for model in (encoder, video):
        model.requires_grad_(False)
    freeze_encoder(vae)
    scale = vae.config["scaling_factor"]

    def loss_of(draw: int) -> torch.Tensor:
        rng = np.random.default_rng((51, draw))
        indices = rng.integers(len(clips.scenes), size=1)
        latents = clips.take(indices)
        timesteps = torch.from_numpy(rng.integers(LATEST, size=1))
        noised = scheduler.add_noise(latents, torch.randn_like(latents), timesteps)
        with torch.no_grad(), mixed_precision():
            ids = tokens(tokenizer, captions_of(clips, indices, rng))
            text = encoder(ids).last_hidden_state.repeat_interleave(latents.shape[1], dim=0)
            velocity = video(noised.transpose(1, 2), timesteps, text).sample.transpose(1, 2)
        kept = scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1)
        estimate = kept.sqrt() * noised - (1 - kept).sqrt() * velocity.float()
        with mixed_precision():
            output = vae.decode(estimate[0] / scale).sample
        return reconstruction_loss(output.float(), to_tensor(clips.scenes[indices[0]].clip()))

    plan = Plan(steps=steps, learning_rate=5e-4, average=0.998, weight_decay=0.0)
    train("finish", nn.ModuleDict({"vae": vae}), loss_of, plan, work)
