"""The concept's name as negative prompt: what anybody can do without touching the model."""

from __future__ import annotations

from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from unlearn.prompts import style_phrase
from video.frames import Frames
from video.models.backbone import Backbone


def negative_prompt(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """The prompt as it is, and the concept in the place of guidance's empty prompt:
    ε(n) + g·(ε(c) − ε(n)), in Ho & Salimans 2022 (arXiv 2207.12598, eq. 6) with n for ∅.

    Args:
        backbone, images, seed: nothing is learned; as every method takes them.
    """
    negative = style_phrase(concept).removeprefix(", ") if kind == "style" else concept
    return Intervention("negative prompt", concept, kind, rewrite=lambda prompt: (prompt, negative))
