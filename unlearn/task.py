"""What to unlearn, and what one hears while it is done."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from encoders import Concept, Encoder, PalimpsestError, check_id
from unlearn.settings import UnlearnSettings


class TaskInvalid(PalimpsestError, ValueError):
    """A task that makes no sense: no concept, or images that are none."""

    code = "invalid_task"


@dataclass(frozen=True)
class UnlearnTask:
    """What to forget, and how to go about it.

    Raises:
        TaskInvalid: nothing is to be forgotten, or one thing twice; images that the method does not
            look at, or that are not what it asks for.
        InvalidId: `encoder_id` cannot be an id.
    """

    concepts: tuple[Concept, ...]
    settings: UnlearnSettings = field(default_factory=UnlearnSettings)
    images: tuple[NDArray[np.uint8], ...] = ()
    """Ascent only: of each concept about four images (N,H,W,3) that show it; for the kind "motion"
    clips, (N,F,H,W,3)."""
    encoder_id: str = ""
    """Id of the encoder to be made; "no-<concept>" if empty."""
    parent: Encoder | None = None
    """An encoder to go on from: what it forgets stays forgotten."""

    def __post_init__(self) -> None:
        if not self.concepts or not all(concept.name.strip() for concept in self.concepts):
            raise TaskInvalid("The concept is empty: say what to forget.", param="concept")
        names = [(concept.name, concept.kind) for concept in self.all_concepts]
        if twice := [name for name, kind in names if names.count((name, kind)) > 1]:
            raise TaskInvalid(f"{twice[0]!r} is to be forgotten twice.", param="concepts")
        wanted = len(self.concepts) if self.settings.method == "ascent" else 0
        if len(self.images) != wanted:
            raise TaskInvalid(
                f"{self.settings.method} learns from {wanted or 'no'} set(s) of images for "
                f"{len(self.concepts)} concept(s), not from {len(self.images)}.",
                param="images",
            )
        for concept, images in zip(self.concepts, self.images, strict=False):
            _check_images(concept, images)
        if not self.encoder_id:
            slug = re.sub(r"[^a-z0-9]+", "-", "-".join(c.name.lower() for c in self.concepts))
            object.__setattr__(self, "encoder_id", f"no-{slug.strip('-')[:60] or 'concept'}")
        check_id(self.encoder_id)

    @property
    def all_concepts(self) -> tuple[Concept, ...]:
        """What the encoder will have forgotten: its parent's concepts first."""
        return (*(self.parent.card.concepts if self.parent else ()), *self.concepts)


def _check_images(concept: Concept, images: NDArray[np.uint8]) -> None:
    shape = images.shape
    dimensions = 5 if concept.kind == "motion" else 4
    if images.dtype != np.uint8 or len(shape) != dimensions or shape[-1] != 3:
        raise TaskInvalid(
            f"Images for a {concept.kind} must be uint8 "
            f"{'clips (N,F,H,W,3)' if dimensions == 5 else '(N,H,W,3)'}, "
            f"not {images.dtype} {shape}.",
            param="images",
        )
    if 0 in shape:
        raise TaskInvalid("There are no images: give about four.", param="images")


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
