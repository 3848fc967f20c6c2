"""Stage 3: text encoder and image denoiser together, on stills."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from starter.captions import caption
from starter.train.data import Latents
from starter.train.loop import TrainingPlan, mixed_precision, train
from starter.train.text import tokens

UNCONDITIONAL = 0.1  # share of captions left empty, for guidance


def captions_of(data: Latents, indices: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Draw a new caption for each scene; some are empty."""
    return ["" if rng.random() < UNCONDITIONAL else caption(data.scenes[i], rng) for i in indices]


def velocity_loss(
    predicted: Tensor, latents: Tensor, noise: Tensor, timesteps: Tensor, scheduler: Any
) -> Tensor:
    """Return the MSE of the velocity √ᾱ ε − √(1−ᾱ) x₀ (Salimans & Ho, arXiv 2202.00512)."""
    return F.mse_loss(predicted.float(), scheduler.get_velocity(latents, noise, timesteps))


def draw_timesteps(
    rng: np.random.Generator, count: int, centre: float = -0.5, spread: float = 1.0
) -> Tensor:
    """Draw timesteps (count,): one in five uniform, the others logit-normal, around 380 by default.

    There the detail of a still of 8×8 positions is decided; near both ends there is little to
    learn. (Logit-normal sampling: Esser et al., arXiv 2403.03206.)
    """
    uniform = rng.random(count)
    central = 1 / (1 + np.exp(-rng.normal(centre, spread, count)))
    share = np.where(rng.random(count) < 0.2, uniform, central)
    return torch.from_numpy(np.minimum(share * 1000, 999).astype(np.int64))


def train_stills(
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
    scheduler: Any,
    data: Latents,
    work: Path,
    *,
    steps: int,
    batch: int = 32,
) -> None:
    """Train text encoder and image denoiser on the velocity of noised stills."""
    # On a CPU and at these lengths, the backward pass of fused attention takes three times as long.
    unet.set_attn_processor(AttnProcessor())

    def loss_of(draw: int) -> Tensor:
        rng = np.random.default_rng((31, draw))
        indices = rng.integers(len(data.scenes), size=batch)
        latents = data.take(indices)[:, 0]
        noise = torch.randn_like(latents)
        timesteps = draw_timesteps(rng, batch)
        noised = scheduler.add_noise(latents, noise, timesteps)
        ids = tokens(tokenizer, captions_of(data, indices, rng))
        with mixed_precision():
            text = encoder(ids).last_hidden_state
            predicted = unet(noised, timesteps, text).sample
        return velocity_loss(predicted, latents, noise, timesteps, scheduler)

    modules = nn.ModuleDict({"text_encoder": encoder, "unet": unet})
    plan = TrainingPlan(steps=steps, learning_rate=8e-4, average=0.9985)
    train("stills", modules, loss_of, plan, work)
