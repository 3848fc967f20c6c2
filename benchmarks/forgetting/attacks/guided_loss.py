"""PROBE's loss: the guided prediction, and the clean latents that it predicts.

Xie, Zhang and Liu 2026, arXiv 2603.21547.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from unlearn.methods import objectives
from video.models.denoiser import Denoiser


def guided_loss(
    denoiser: Denoiser,
    latents: Tensor,
    x: objectives.Noised,
    embeddings: tuple[Tensor, Tensor],
    g: float,
) -> Tensor:
    """Return ‖ε̂ − target‖² + ‖x̂₀ − x₀‖², ε̂ = ε_θ(x_t, ∅) + g (ε_θ(x_t, y) − ε_θ(x_t, ∅)).

    Args:
        denoiser: ε_θ.
        latents: x₀, (B,C,h,w) or (B,C,F,h,w).
        x: x_t, t and the target.
        embeddings: those of the empty prompt and of the captions, (B,L,D) each.
        g: the guidance.
    """
    empty, said = embeddings
    with torch.no_grad():
        without = denoiser.predict(x.latents, x.timesteps, empty)
    prediction = without + g * (denoiser.predict(x.latents, x.timesteps, said) - without)
    clean = predicted_latents(denoiser, x, prediction)
    return mse_loss(prediction, x.target) + mse_loss(clean, latents)


def predicted_latents(denoiser: Denoiser, x: objectives.Noised, prediction: Tensor) -> Tensor:
    """Return x̂₀: what the latents would be if the prediction were right.

    With x_t = a x₀ + b ε it is a x_t − b v for a velocity model (a² + b² = 1), x_t − b v for flow
    matching, and (x_t − b ε) / a for a noise model, where a counts as at least 0.1.
    """
    schedule = denoiser.schedule
    times = (schedule.timesteps[None].to(x.timesteps) == x.timesteps[:, None]).int().argmax(1)
    a, b = (
        of_time.to(prediction)[times].view(-1, *[1] * (prediction.ndim - 1))
        for of_time in (schedule.signal, schedule.noise)
    )
    if denoiser.prediction_type == "v_prediction":
        return a * x.latents - b * prediction
    if denoiser.prediction_type == "flow_prediction":
        return x.latents - b * prediction
    return (x.latents - b * prediction) / a.clamp(min=0.1)
