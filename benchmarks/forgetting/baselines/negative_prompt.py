"""The concept's name as the negative prompt, which needs no change of the model."""

from __future__ import annotations

from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from unlearn.prompts import style_phrase
from video.frames import Frames
from video.models.backbone import Backbone


def negative_prompt(
    backbone: Backbone, concept: str, kind: Kind, images: Frames, seed: int
) -> Intervention:
    """Keep the prompt, and put the concept in the place of guidance's empty prompt.

    ε(n) + g·(ε(c) − ε(n)): Ho & Salimans 2022 (arXiv 2207.12598, eq. 6) with n for ∅. Nothing is
    learned: `backbone`, `images` and `seed` are not used.
    """
    negative = style_phrase(concept).removeprefix(", ") if kind == "style" else concept
    return Intervention("negative prompt", concept, kind, rewrite=lambda prompt: (prompt, negative))
