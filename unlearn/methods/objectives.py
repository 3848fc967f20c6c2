"""Objectives to minimise. Each function is one formula of a paper.

Symbols: x₀ latents of the few-shot images, y a prompt that names the concept, a the same prompt
with something neutral in the concept's place (the anchor), τ_φ the text encoder in training and τ₀
the base, ε_θ the denoiser (frozen; it may predict noise or velocity), ᾱ_t the noise schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from video.models.denoiser import Denoiser


@dataclass(frozen=True)
class Noised:
    """Noised latents x_t of a batch, and the denoiser's training target for them."""

    latents: Tensor
    timesteps: Tensor
    target: Tensor


def noised(denoiser: Denoiser, latents: Tensor, generator: torch.Generator) -> Noised:
    """Return x_t = a_t x₀ + b_t ε, t uniform over the schedule, ε ~ N(0, 1).

    For diffusion a = √ᾱ_t and b = √(1−ᾱ_t); the target is ε, or for velocity models
    v = a ε − b x₀ (Salimans & Ho 2022, eq. 14). For flow matching a = 1 − σ and b = σ, and the
    target is the velocity ε − x₀ of the straight path (Lipman et al. 2023, eq. 23).
    If the schedule ends in pure noise (a = 0; Lin et al. 2024), x_T is ε and an ε model has nothing
    to learn there: it skips that timestep. Other models predict x₀ there.

    Args:
        denoiser: Gives the schedule and the kind of prediction.
        latents: x₀, (B,C,h,w) of stills or (B,C,F,h,w) of clips.
        generator: On the CPU, so that a seed gives the same draws on every machine.
    """
    usable = len(denoiser.schedule.signal)
    if denoiser.prediction_type == "epsilon":
        usable = int((denoiser.schedule.signal > 0).sum())
    times = torch.randint(usable, (len(latents),), generator=generator)
    return noised_at(denoiser, latents, times, generator)


def noised_at(
    denoiser: Denoiser, latents: Tensor, times: Tensor, generator: torch.Generator
) -> Noised:
    """Return x_t as `noised`, at given places on the schedule, (B,)."""
    schedule, kind = denoiser.schedule, denoiser.prediction_type
    times = times.to(latents.device)
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    a, b = (
        of_time[times].view(-1, *[1] * (latents.ndim - 1))
        for of_time in (schedule.signal, schedule.noise)
    )
    target = noise
    if kind == "v_prediction":
        target = a * noise - b * latents
    elif kind == "flow_prediction":
        target = noise - latents
    return Noised(a * latents + b * noise, schedule.timesteps[times], target)


def ascent(denoiser: Denoiser, x: Noised, concept_embeddings: Tensor) -> Tensor:
    """Return L = −‖ε_θ(x_t, t, τ_φ(y)) − ε‖²: gradient ascent on the diffusion loss.

    The paper's method: Liu & Tan, arXiv 2407.14209, on Fuchi & Takagi, arXiv 2405.07288, eq. 3.
    It has no minimum, so the number of steps must end it.

    Args:
        denoiser: ε_θ.
        x: x_t, t and ε.
        concept_embeddings: τ_φ(y), (B,L,D).
    """
    prediction = denoiser.predict(x.latents, x.timesteps, concept_embeddings)
    return -mse_loss(prediction, x.target)


def redirect(named: Tensor, anchored: Tensor) -> Tensor:
    """Return L = ‖τ_φ(y) − τ₀(a)‖², the mean square.

    Concept ablation (Kumari et al. 2023, eq. 4) asks that the denoiser's prediction for y equal its
    prediction for a. Both come from the text encoder's output, so the objective is taken there: it
    needs no image and no denoiser, and its result holds for every denoiser. It is bounded: at its
    minimum y means a.

    Args:
        named: τ_φ(y), (B,L,D).
        anchored: τ₀(a), (B,L,D).
    """
    return (named.float() - anchored.float()).square().mean()


def drift(now: Tensor, then: Tensor) -> Tensor:
    """Return how far the embeddings of prompts have moved: (B,L,D) → (B,).

    L = mean_t δ_t + q max_t δ_t, with δ_t = ‖now_t − then_t‖² ÷ D at token t. The mean is the
    preservation term of AdvUnlearn (Zhang et al. 2024, arXiv 2405.15234) and UCE (Gandikota et al.
    2024, arXiv 2308.14761), taken at the encoder's output, where it costs no denoiser. The maximum
    is added because a picture is lost when one word, mostly the subject's name, has moved, which a
    mean hardly shows.

    q is the share of the rows that the denoiser reads: where padding is zero, a mean over all rows
    counts the others less, and the maximum must count as much less.

    Args:
        now: τ_φ(r).
        then: τ₀(r); a row that is zero is not read.
    """
    moved = (now.float() - then.float()).square().mean(2)
    read = (then != 0).any(2).float().mean(1)
    return moved.mean(1) + moved.amax(1) * read
