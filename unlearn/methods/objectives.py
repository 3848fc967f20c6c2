"""What is minimised. Each function is one formula of a paper.

Throughout: x₀ latents of the few-shot images, y a prompt that names the concept, τ_φ the text
encoder that is trained and τ₀ the base's, ε_θ the denoiser (frozen; whether it predicts noise or
velocity), ᾱ_t the noise schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from video.models.denoiser import Denoiser


@dataclass(frozen=True)
class Noised:
    """x_t of a batch, and what the denoiser was trained to predict from it."""

    latents: Tensor
    timesteps: Tensor
    target: Tensor


def noised(denoiser: Denoiser, latents: Tensor, generator: torch.Generator) -> Noised:
    """x_t = a_t x₀ + b_t ε, t uniform over the schedule, ε ~ N(0, 1).

    For diffusion a = √ᾱ_t and b = √(1−ᾱ_t); the target is ε, or for velocity models
    v = a ε − b x₀ (Salimans & Ho 2022, eq. 14). For flow matching a = 1 − σ and b = σ, and the
    target is the velocity ε − x₀ of the straight path (Lipman et al. 2023, eq. 23).
    Where the schedule ends in pure noise (a = 0; Lin et al. 2024) predicting ε from x_T = ε is no
    task, so that ε models skip that timestep; the others predict x₀ there, which is one.

    Args:
        latents: x₀, (B,C,h,w) of stills or (B,C,F,h,w) of clips.
        generator: on the CPU, so that a seed means the same on every machine.
    """
    schedule, kind = denoiser.schedule, denoiser.prediction_type
    usable = len(schedule.signal)
    if kind == "epsilon":
        usable = int((schedule.signal > 0).sum())
    times = torch.randint(usable, (len(latents),), generator=generator).to(latents.device)
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


def ascent(denoiser: Denoiser, x: Noised, concept: Tensor) -> Tensor:
    """L = −‖ε_θ(x_t, t, τ_φ(y)) − ε‖²: gradient ascent on the diffusion loss.

    The paper's method: Liu & Tan, arXiv 2407.14209, on Fuchi & Takagi, arXiv 2405.07288, eq. 3.
    Unbounded: it has no minimum, so that it is the number of steps that ends it.

    Args:
        concept: τ_φ(y), (B,L,D).
    """
    prediction = denoiser.predict(x.latents, x.timesteps, concept)
    return -mse_loss(prediction, x.target)


def redirect(concept: Tensor, anchor0: Tensor) -> Tensor:
    """L = ‖τ_φ(y) − τ₀(a)‖², the mean square; a is y with something neutral in the concept's place.

    Concept ablation's objective (Kumari et al. 2023, eq. 4: the prediction for the concept's prompt
    is to be that for an anchor's) taken where both predictions come from, at the text encoder's
    output: there it needs no image and no denoiser, and what it reaches holds for every denoiser.
    It is bounded: at its minimum the prompt simply means something else.

    Args:
        concept, anchor0: τ_φ(y) and τ₀(a), (B,L,D).
    """
    return (concept.float() - anchor0.float()).square().mean()


def drift(now: Tensor, then: Tensor) -> Tensor:
    """What of prompts was lost, by how far their embeddings moved: (B,L,D) → (B,).

    The mean over the tokens of δ_t = ‖now_t − then_t‖² ÷ D, and the square of the largest δ_t on
    top. The mean is the preservation term of AdvUnlearn (Zhang et al. 2024, arXiv 2405.15234) and
    UCE (Gandikota et al. 2024, arXiv 2308.14761), taken at the encoder's output: text only, hence
    cheap. But a picture is lost where one word, mostly the subject's name, has moved far, which is
    little of a mean; and a word that has moved a little costs no picture, hence the square.
    """
    moved = (now.float() - then.float()).square().mean(2)
    return moved.mean(1) + moved.amax(1).square()
