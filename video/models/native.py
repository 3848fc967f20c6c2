"""Native models: the engine calls the denoiser itself, so that requests share its steps."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from video.frames import Frames
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone, BackboneParts
from video.models.denoiser import Denoiser
from video.models.generation_state import GenerationState
from video.models.prompt_encoder import PromptEncoder


class DenoisingState(GenerationState):
    """One request between two steps: its latents, its noise scheduler and its position.

    Args:
        request: already checked against the backbone's capabilities.
        denoiser: the video denoiser or the image twin's; the state is on its device.
        embeddings: of the prompt (1,L,D); with guidance (2,L,D), the negative prompt's first.
    """

    def __init__(self, request: GenerationRequest, denoiser: Denoiser, embeddings: Tensor) -> None:
        self.denoiser = denoiser
        self._frames = request.frames
        self._noise_scheduler: Any = denoiser.noise_scheduler()
        self._noise_scheduler.set_timesteps(request.steps, device=denoiser.placement.device)
        self._timesteps: Tensor = self._noise_scheduler.timesteps
        self._guidance = request.guidance
        self._embeddings = embeddings
        self._step_options = _step_options(self._noise_scheduler, request.seed)
        noise = denoiser.noise(request.seed, request.frames)
        # Flow matching starts from unscaled noise, and some of its schedulers lack the attribute.
        self.latents = noise * getattr(self._noise_scheduler, "init_noise_sigma", 1.0)
        self.steps_done = 0
        self.steps = len(self._timesteps)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the denoiser's inputs for the next step: latents, timesteps and embeddings.

        Each has one sample, or two under guidance.
        """
        timestep = self._timesteps[self.steps_done]
        latents = self.latents
        if scale := getattr(self._noise_scheduler, "scale_model_input", None):
            latents = scale(latents, timestep)
        samples = len(self._embeddings)
        repeated = latents.expand(samples, *latents.shape[1:])
        return repeated, timestep.expand(samples), self._embeddings

    def advance(self, prediction: Tensor) -> None:
        """Take one step, given the denoiser's prediction for `inputs`.

        Classifier-free guidance as in the stock pipelines: ε(∅) + g·(ε(c) − ε(∅)).
        """
        if len(prediction) == 2:
            without, with_prompt = prediction.chunk(2)
            prediction = without + self._guidance * (with_prompt - without)
        timestep = self._timesteps[self.steps_done]
        self.latents = self._noise_scheduler.step(
            prediction, timestep, self.latents, **self._step_options
        ).prev_sample
        self.steps_done += 1

    def decode(self) -> Frames:
        return self.denoiser.decode(self.latents, self._frames)

    def close(self) -> None: ...


def _step_options(noise_scheduler: Any, seed: int) -> dict[str, torch.Generator]:
    """Return the generator for schedulers that add noise at every step: the request's seed."""
    if "generator" not in inspect.signature(noise_scheduler.step).parameters:
        return {}
    return {"generator": torch.Generator("cpu").manual_seed(seed)}


@torch.no_grad()
def denoise_step(batch: Sequence[DenoisingState]) -> None:
    """Advance every state of a batch by one step, with one call of the denoiser.

    If the call fails, no state has advanced, and it can be repeated.

    Args:
        batch: states with the same denoiser and number of frames. Each has its own noise scheduler,
            and may be at another step of another number of steps.
    """
    inputs = [state.inputs() for state in batch]
    latents, timesteps, embeddings = (torch.cat(parts) for parts in zip(*inputs, strict=True))
    predictions = batch[0].denoiser.predict(latents, timesteps, embeddings)
    for state, prediction in zip(
        batch, predictions.split([len(part[0]) for part in inputs]), strict=True
    ):
        state.advance(prediction)
    if predictions.is_cuda:  # progress, cancellation and fair turns need the step to be finished
        torch.cuda.synchronize()


class NativeBackbone(Backbone):
    """A text encoder, a video denoiser behind it, and an image twin with the same text encoder.

    Args:
        parts: the text encoder and the rest that every backbone has.
        video: denoiser of clips.
        image: denoiser of stills; unlearning with images trains against it.
    """

    is_native = True

    def __init__(self, parts: BackboneParts, *, video: Denoiser, image: Denoiser) -> None:
        super().__init__(parts, video.placement.device, video.dtype)
        # With offloading, decoding and denoising swap the same device memory, so they cannot
        # overlap.
        self.decodes_beside = not video.placement.offloads
        self._video, self._image = video, image

    def denoiser(self, is_video: bool) -> Denoiser:
        return self._video if is_video else self._image

    def embed(
        self,
        prompts: Sequence[str],
        overrides: Mapping[str, Tensor] | None = None,
        *,
        is_video: bool = True,
    ) -> Tensor:
        tokens = self.tokenize(prompts)
        embeddings = self.text_encoder.encode(tokens, overrides)
        if self.denoiser(is_video).drops_padding:
            padding = (tokens == self.tokens.pad).unsqueeze(2).to(embeddings.device)
            embeddings = embeddings.masked_fill(padding, 0)
        return embeddings

    def begin(self, request: GenerationRequest, encoder: PromptEncoder) -> DenoisingState:
        prompts = [request.prompt]
        if request.guidance > 1:
            prompts.insert(0, request.negative_prompt)
        embeddings = torch.cat([encoder.encode(prompt) for prompt in prompts])
        return DenoisingState(request, self.denoiser(request.frames is not None), embeddings)

    def step(self, states: Sequence[DenoisingState]) -> None:
        denoise_step(states)
