"""Pictures by a model under an intervention.

The engine serves encoders; a benchmark also has to edit denoisers and feed embeddings that no
prompt gives. So it steps the same `DenoisingState` as the engine does, itself. A test holds the two
equal.
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
"""Small pictures are cheaper by the dozen, on a CPU too; clips are not."""

Embed = Callable[[str], Tensor]
"""A prompt → its embedding (1,L,D)."""


@dataclass(frozen=True)
class SampleRequest:
    """One picture asked for: a prompt and a seed."""

    prompt: str
    seed: int


@torch.no_grad()
def sample(
    backbone: Backbone,
    shots: Sequence[SampleRequest],
    *,
    is_video: bool,
    intervention: Intervention | None = None,
    embed: Embed | None = None,
) -> list[Frames]:
    """Stills (1,H,W,3) of the image twin, or clips (F,H,W,3) if `is_video`, with the model's own
    steps, guidance and length.

    Args:
        intervention: what is done to the model; None: nothing.
        embed: instead of the encoder, for attacks; the negative prompt still goes through the
            encoder.
    """
    by = intervention or Intervention("base", "", "")
    capabilities = backbone.capabilities

    def encode(prompt: str) -> Tensor:
        return backbone.text_encoder.encode(backbone.tokenize([prompt]), by.overrides)

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
                    negative,
                    seed=shot.seed,
                    steps=capabilities.steps_default,
                    guidance=capabilities.guidance_default,
                    frames=capabilities.frames_default if is_video else None,
                )
                wanted = embed(prompt) if embed else encode(prompt)
                batch.append(
                    DenoisingState(request, denoiser, torch.cat([encode(negative), wanted]))
                )
            for _ in range(batch[0].steps):
                denoise_step(batch)
            found += [denoising.decode() for denoising in batch]
    return found
