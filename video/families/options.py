"""How a model is to be loaded, beside its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextModel, PreTrainedModel

from encoders.text_encoder import TextEncoder
from video.models.backbone import BackboneInvalid
from video.models.placement import Placement


@dataclass(frozen=True)
class Options:
    """What a family's `load` is given."""

    name: str
    placement: Placement = field(default_factory=lambda: Placement("cpu"))
    dtype: torch.dtype = torch.float32
    """The denoisers'."""
    twin: str | Path | None = None
    """An image model instead of the family's; `SELF` for the video model at one frame."""
    twin_difference: float = 0.0
    """How far the twin's text encoder may be from the video model's (`video.families.twin`)."""
    motion_adapter: str | Path | None = None
    """AnimateDiff's, for a model that has none of its own."""
    size: tuple[int, int] | None = None
    """Width and height of clips, where a family makes more than one."""
    pickles: bool = False
    keeps_text_precision: bool = False
    """Leave a large text encoder as precise as it is stored, whatever `dtype` is."""
    sources: list[Path] = field(default_factory=list[Path])
    """Directories that were read beside the model's own, as loading finds them."""

    def text_encoder(self, module: PreTrainedModel, **padding: Any) -> TextEncoder:
        """A text model where its placement has it. One of billions of parameters, which comes as
        precise as it is stored, is computed in the denoiser's precision; but not in float16, which
        the activations of T5 leave.
        """
        dtype = None
        if not isinstance(module, CLIPTextModel) and not self.keeps_text_precision:
            dtype = torch.bfloat16 if self.dtype == torch.float16 else self.dtype
        if self.placement.offloads:
            return TextEncoder(module, dtype=dtype, fetch=self.placement.fetch, **padding)
        return TextEncoder(module, device=self.placement.device, dtype=dtype, **padding)


SELF = "self"
"""The twin that is the video model itself, at one frame."""


def size_of(options: Options, native: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Width and height of clips: the ones asked for, or the model's own.

    Raises:
        BackboneInvalid: sides that are no multiples of what the denoiser works in.
    """
    width, height = options.size or native
    if width % multiple or height % multiple:
        raise BackboneInvalid(
            f"Clips of {width}x{height} cannot be made: this model's sides are multiples of "
            f"{multiple}."
        )
    return width, height
