"""Tasks of unlearning, and the progress of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from encoders import Concept, Encoder, check_id
from unlearn.errors import TaskInvalid
from unlearn.settings import UnlearnSettings
from video.frames import check_frames

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class UnlearnTask:
    """Concepts to forget, and how.

    Raises:
        TaskInvalid: No concept, or one twice; images that the method does not learn from, or of the
            wrong number, dtype or shape.
        InvalidId: `encoder_id` cannot be an id.
    """

    concepts: tuple[Concept, ...]
    settings: UnlearnSettings = field(default_factory=UnlearnSettings)
    images: tuple[NDArray[np.uint8], ...] = ()
    """About four images of each concept, (N,H,W,3); for the kind "motion" clips, (N,F,H,W,3). Some
    methods need them, some take none (`MethodSpec`). Those that can do without may have N = 0 for
    some concepts, or no images at all."""
    encoder_id: str = ""
    """Id of the new encoder; "no-<concept>" if empty."""
    parent: Encoder | None = None
    """Encoder to start from; its concepts stay forgotten. None: the base."""

    def __post_init__(self) -> None:
        if not self.concepts or not all(concept.name.strip() for concept in self.concepts):
            raise TaskInvalid("The concept is empty: name what to forget.", param="concept")
        names = [(concept.name, concept.kind) for concept in self.all_concepts]
        if twice := [name for name, kind in names if names.count((name, kind)) > 1]:
            raise TaskInvalid(
                f"{twice[0]!r} is to be forgotten twice: name it once.", param="concepts"
            )
        method = self.settings.method_spec
        learns = method.learns_from_images or (self.images and method.takes_images)
        wanted = len(self.concepts) if learns else 0
        if len(self.images) != wanted:
            raise TaskInvalid(
                f"{self.settings.method} learns from {wanted or 'no'} set(s) of images for "
                f"{len(self.concepts)} concept(s), not from {len(self.images)}.",
                param="images",
            )
        for concept, images in zip(self.concepts, self.images, strict=False):
            if len(images) or method.learns_from_images:
                _check_images(concept, images)
        if not self.encoder_id:
            slug = re.sub(r"[^a-z0-9]+", "-", "-".join(c.name.lower() for c in self.concepts))
            object.__setattr__(self, "encoder_id", f"no-{slug.strip('-')[:60] or 'concept'}")
        check_id(self.encoder_id)

    @property
    def all_concepts(self) -> tuple[Concept, ...]:
        """Every concept that the encoder will have forgotten: its parent's first."""
        return (*(self.parent.card.concepts if self.parent else ()), *self.concepts)

    @property
    def parent_overrides(self) -> Mapping[str, Tensor]:
        """The parent's overrides; none without a parent."""
        return self.parent.overrides if self.parent else {}


def _check_images(concept: Concept, images: NDArray[np.uint8]) -> None:
    if not images.size:
        raise TaskInvalid("There are no images: give about four.", param="images")
    check_frames(
        images,
        dimensions=(5 if concept.kind == "motion" else 4,),
        name=f"Images for a {concept.kind}",
        error=partial(TaskInvalid, param="images"),
    )


@dataclass(frozen=True)
class UnlearnProgress:
    """Progress of a run after a step."""

    step: int
    """Steps done, 1 to `steps`."""
    steps: int
    loss: float
    """The loss before the step. It falls; for `ascent` it is minus the diffusion loss."""
    seconds: float
    """Seconds of work on the steps so far; pauses between them are not counted."""
    share: float
    """Share of the run that is done, 0 to 1: of its steps, or of its budget if that is more."""
