"""A request in flight: its latents, its own scheduler, its place between noise and frames."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from video.generation_request import GenerationRequest
from video.models.backbone import Frames, Run
from video.models.denoiser import Denoiser


class DenoisingState(Run):
    """The state of one request between two steps.

    Args:
        request: already checked against the backbone's limits.
        denoiser: of clips or of stills, as is asked for; the state is on its device.
        embeddings: the prompt's (1,L,D), or with guidance (2,L,D): the negative prompt's first.
    """

    def __init__(self, request: GenerationRequest, denoiser: Denoiser, embeddings: Tensor) -> None:
        self.denoiser = denoiser
        self._frames = request.frames
        self._scheduler: Any = denoiser.scheduler()
        self._scheduler.set_timesteps(request.steps, device=denoiser.placement.device)
        self._timesteps: Tensor = self._scheduler.timesteps
        self._guidance = request.guidance
        self._embeddings = embeddings
        self._noise_options = _noise_options(self._scheduler, request.seed)
        noise = denoiser.noise(request.seed, request.frames)
        # Schedulers of flow matching begin with noise as it is, and some do not even say so.
        self.latents = noise * getattr(self._scheduler, "init_noise_sigma", 1.0)
        self.step = 0
        self.steps = len(self._timesteps)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the denoiser is to be called with: latents, timesteps, embeddings; each with one
        sample, or two under guidance.
        """
        timestep = self._timesteps[self.step]
        latents = self.latents
        if scale := getattr(self._scheduler, "scale_model_input", None):
            latents = scale(latents, timestep)
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

    def decode(self) -> Frames:
        return self.denoiser.decode(self.latents, self._frames)

    def close(self) -> None: ...


@torch.no_grad()
def step(batch: Sequence[DenoisingState]) -> None:
    """Advances every request of the batch by one step, through one call of the denoiser.

    The requests must agree in denoiser and frames. Each has its own scheduler and may stand at
    another step of another number of steps. If the call fails none of them has moved, and it may be
    tried again.
    """
    inputs = [denoising.inputs() for denoising in batch]
    latents, timesteps, embeddings = (torch.cat(parts) for parts in zip(*inputs, strict=True))
    predictions = batch[0].denoiser.predict(latents, timesteps, embeddings)
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
