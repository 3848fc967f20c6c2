"""What to unlearn, and what one hears while it is done."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from encoders import Kind, PalimpsestError, check_id
from unlearn.settings import UnlearnSettings


class TaskInvalid(PalimpsestError, ValueError):
    """A task that makes no sense: no concept, or images that are none."""

    code = "invalid_task"


@dataclass(frozen=True)
class UnlearnTask:
    """A concept, the few images that show it, and how to go about it.

    Raises:
        TaskInvalid: the concept is empty, or the images are not what their kind asks for.
        InvalidId: `encoder_id` cannot be an id.
    """

    concept: str
    kind: Kind
    images: NDArray[np.uint8]
    """(N,H,W,3); for the kind "motion" clips, (N,F,H,W,3). About four."""
    synonyms: tuple[str, ...] = ()
    """Other phrases for the concept, beside those the model's own prompt book knows."""
    settings: UnlearnSettings = field(default_factory=UnlearnSettings)
    encoder_id: str = ""
    """Id of the encoder to be made; "no-<concept>" if empty."""

    def __post_init__(self) -> None:
        if not self.concept.strip():
            raise TaskInvalid("The concept is empty: say what to forget.", param="concept")
        shape = self.images.shape
        dimensions = 5 if self.kind == "motion" else 4
        if self.images.dtype != np.uint8 or len(shape) != dimensions or shape[-1] != 3:
            raise TaskInvalid(
                f"Images for a {self.kind} must be uint8 "
                f"{'clips (N,F,H,W,3)' if dimensions == 5 else '(N,H,W,3)'}, "
                f"not {self.images.dtype} {shape}.",
                param="images",
            )
        if 0 in shape:
            raise TaskInvalid("There are no images: give about four.", param="images")
        if not self.encoder_id:
            slug = re.sub(r"[^a-z0-9]+", "-", self.concept.lower()).strip("-")[:60]
            object.__setattr__(self, "encoder_id", f"no-{slug or 'concept'}")
        check_id(self.encoder_id)


@dataclass(frozen=True)
class UnlearnProgress:
    """Told after every optimisation step."""

    step: int
    """Steps done, 1 to `steps`."""
    steps: int
    loss: float
    """The objective before the step. It falls; for ascent it is minus the diffusion loss."""
    seconds: float
    """Since the first step began."""
    phase: Literal["optimising"] = "optimising"
