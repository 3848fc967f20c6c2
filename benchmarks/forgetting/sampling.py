"""Sampling: pictures by a model under an intervention.

The engine serves encoders. A benchmark also edits denoisers, and feeds embeddings that no prompt
gives. So it steps `DenoisingState` itself, as the engine does; a test compares the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.forgetting.intervention import Intervention, edited
from video.frames import Frames
from video.generation_request import GenerationRequest
from video.models.backbone import Backbone
from video.models.native import DenoisingState, denoise_step

STILLS_AT_ONCE = 16
"""Stills in a batch. Batches are faster for stills, on a CPU too, but not for clips."""

Embed = Callable[[str], Tensor]
"""A prompt → its embedding (1,L,D)."""


@dataclass(frozen=True)
class SampleRequest:
    """The prompt and the seed of one picture."""

    prompt: str
    seed: int
    negative: str = ""
    """Negative prompt; an intervention's own comes first (`Intervention.rewrite`)."""
    guidance: float | None = None
    """None: the model's default."""


@torch.no_grad()
def sample(
    backbone: Backbone,
    shots: Sequence[SampleRequest],
    *,
    is_video: bool,
    intervention: Intervention | None = None,
    embed: Embed | None = None,
) -> list[Frames]:
    """Make stills (1,H,W,3) by the image twin, or clips (F,H,W,3) if `is_video`.

    Steps and length are the model's defaults.

    Args:
        backbone: the model.
        shots: prompts and seeds.
        is_video: true for clips.
        intervention: the change of the model; None: no change.
        embed: embeds prompts instead of the text encoder, for attacks; the negative prompt still
            goes through the encoder.
    """
    by = intervention or Intervention("base", "", "")
    capabilities = backbone.capabilities

    def encode(prompt: str) -> Tensor:
        return by.embed(backbone, [prompt])

    found: list[Frames] = []
    denoiser = backbone.denoiser(is_video)
    at_once = 1 if is_video else STILLS_AT_ONCE
    with edited(denoiser.network, by.denoiser):
        for start in range(0, len(shots), at_once):
            batch: list[DenoisingState] = []
            for shot in shots[start : start + at_once]:
                prompt, negative = by.rewrite(shot.prompt)
                request = GenerationRequest(
                    prompt,
                    negative or shot.negative,
                    seed=shot.seed,
                    steps=capabilities.steps_default,
                    guidance=(
                        capabilities.guidance_default if shot.guidance is None else shot.guidance
                    ),
                    frames=capabilities.frames_default if is_video else None,
                )
                wanted = embed(prompt) if embed else encode(prompt)
                batch.append(
                    DenoisingState(
                        request, denoiser, torch.cat([encode(request.negative_prompt), wanted])
                    )
                )
            for _ in range(batch[0].steps):
                denoise_step(batch)
            found += [denoising.decode() for denoising in batch]
    return found
