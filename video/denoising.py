"""A request in flight: its latents, its own scheduler, its place between noise and frames."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from video.backbone import Backbone
from video.requests import GenerationRequest


class Denoising:
    """The state of one request between two steps.

    Args:
        request: already checked against the backbone's limits.
        backbone: makes the noise and the scheduler; the state is on its device.
        embeddings: the prompt's (1,L,D), or with guidance (2,L,D): the negative prompt's first.
    """

    def __init__(self, request: GenerationRequest, backbone: Backbone, embeddings: Tensor) -> None:
        self._scheduler: Any = backbone.scheduler()
        self._scheduler.set_timesteps(request.steps, device=backbone.device)
        self._timesteps: Tensor = self._scheduler.timesteps
        self._guidance = request.guidance
        self._embeddings = embeddings
        self._noise_options = _noise_options(self._scheduler, request.seed)
        noise = backbone.initial_latents(request.seed, request.frames)
        self.latents = noise * self._scheduler.init_noise_sigma
        self.step = 0
        self.steps = len(self._timesteps)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the denoiser is to be called with: latents, timesteps, embeddings; each with one
        sample, or two under guidance."""
        timestep = self._timesteps[self.step]
        latents = self._scheduler.scale_model_input(self.latents, timestep)
        samples = len(self._embeddings)
        repeated = latents.expand(samples, *latents.shape[1:])
        return repeated, timestep.expand(samples), self._embeddings

    def advance(self, prediction: Tensor) -> None:
        """One step on, given the denoiser's prediction for `inputs`.

        Classifier-free guidance as in the stock pipelines: ε(∅) + g·(ε(c) − ε(∅)).
        """
        if len(prediction) == 2:
            without, with_prompt = prediction.chunk(2)
            prediction = without + self._guidance * (with_prompt - without)
        timestep = self._timesteps[self.step]
        self.latents = self._scheduler.step(
            prediction, timestep, self.latents, **self._noise_options
        ).prev_sample
        self.step += 1


@torch.no_grad()
def step(backbone: Backbone, batch: Sequence[Denoising]) -> None:
    """Advances every request of the batch by one step, through one call of the denoiser.

    The requests must agree in frames. Each has its own scheduler and may stand at another step of
    another number of steps. If the call fails none of them has moved, and it may be tried again.
    """
    inputs = [denoising.inputs() for denoising in batch]
    latents, timesteps, embeddings = (torch.cat(parts) for parts in zip(*inputs, strict=True))
    predictions = backbone.denoise(latents, timesteps, embeddings)
    for denoising, prediction in zip(
        batch, predictions.split([len(part[0]) for part in inputs]), strict=True
    ):
        denoising.advance(prediction)
    if predictions.is_cuda:  # progress, cancellation and fair turns are about work that is done
        torch.cuda.synchronize()


def _noise_options(scheduler: Any, seed: int) -> dict[str, torch.Generator]:
    """Schedulers that add noise at every step must draw it from the request's seed."""
    if "generator" not in inspect.signature(scheduler.step).parameters:
        return {}
    return {"generator": torch.Generator("cpu").manual_seed(seed)}
