"""Options: the settings that a model is loaded with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextModel, PreTrainedModel

from encoders.text_encoder import TextEncoder
from video.errors import BackboneInvalid
from video.models.placement import Placement


@dataclass(frozen=True)
class Options:
    """Settings of one load, for every family."""

    name: str
    """The model's name in requests."""
    placement: Placement = field(default_factory=lambda: Placement("cpu"))
    dtype: torch.dtype = torch.float32
    """The denoisers' precision."""
    twin: str | Path | None = None
    """Image twin in place of the family's usual one; `SELF` for the video model at one frame."""
    twin_difference: float = 0.0
    """Largest relative difference allowed between the text encoders of twin and video model; see
    `video.families.twin.difference`."""
    motion_adapter: str | Path | None = None
    """Source of AnimateDiff's motion adapter, for a model without one."""
    size: tuple[int, int] | None = None
    """Width and height of clips in pixels, for a family with several sizes."""
    pickles: bool = False
    """Allow pickled weights."""
    keeps_text_precision: bool = False
    """Keep a large text encoder in its stored precision, whatever `dtype` is."""
    sources: list[Path] = field(default_factory=list[Path])
    """Further directories that were read; loading appends to it."""

    def text_encoder(self, module: PreTrainedModel, **padding: Any) -> TextEncoder:
        """Return a text model on its device and in its precision.

        CLIP keeps the precision it was loaded in. A larger one is computed in the denoiser's
        precision, but in bfloat16 in place of float16: T5's activations exceed float16's range.
        """
        dtype = None
        if not isinstance(module, CLIPTextModel) and not self.keeps_text_precision:
            dtype = torch.bfloat16 if self.dtype == torch.float16 else self.dtype
        if self.placement.offloads:
            return TextEncoder(module, dtype=dtype, fetch=self.placement.fetch, **padding)
        return TextEncoder(module, device=self.placement.device, dtype=dtype, **padding)


SELF = "self"
"""Name of the twin that is the video model itself, at one frame."""


def clip_size(options: Options, native: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Return the width and height of clips: the requested ones, or the model's own.

    Raises:
        BackboneInvalid: a side is not a multiple of `multiple` pixels.
    """
    width, height = options.size or native
    if width % multiple or height % multiple:
        raise BackboneInvalid(
            f"Clips of {width}x{height} cannot be made: this model's sides are multiples of "
            f"{multiple}."
        )
    return width, height
