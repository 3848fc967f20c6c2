"""Few shots: the images or clips that a method learns a concept from.

A concept is a distribution, not a word: its few images are made from prompts that put it into
several sentences (`unlearn.prompts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from encoders import Kind
from unlearn.prompts import fill, phrase, prompt_templates, subjects_for
from video.generation_request import GenerationRequest

if TYPE_CHECKING:
    from video.capabilities import Capabilities
    from video.frames import Frames
    from video.models.prompt_book import PromptBook

FEW_SHOTS = 4
"""Images (for a motion: clips) to learn from, as in the paper (Liu & Tan, arXiv 2407.14209)."""


def few_shot_prompts(
    concept_name: str, kind: Kind, count: int, *, book: PromptBook | None = None
) -> list[str]:
    """Return `count` prompts for the images to learn from, under the concept's own name.

    Sentences and, for styles and motions, subjects take turns; they repeat once all are used.
    """
    templates, subjects = prompt_templates(kind), subjects_for(kind, book)
    return [
        fill(templates[i % len(templates)], subjects[i % len(subjects)], phrase(concept_name, kind))
        for i in range(count)
    ]


def few_shot_requests(
    concept_name: str, kind: Kind, *, capabilities: Capabilities, book: PromptBook, seed: int = 0
) -> list[GenerationRequest]:
    """Return the requests for a concept's few shots, with a seed each.

    They are for stills of the image twin, or for clips if the concept is a motion.
    """
    return [
        GenerationRequest(
            prompt,
            seed=(seed + number) % 2**63,
            steps=capabilities.steps_default,
            guidance=capabilities.guidance_default,
            frames=capabilities.frames_default if kind == "motion" else None,
            low_priority=True,
        )
        for number, prompt in enumerate(few_shot_prompts(concept_name, kind, FEW_SHOTS, book=book))
    ]


def few_shots_of(clips: Sequence[Frames], kind: Kind) -> Frames:
    """Return the results of `few_shot_requests` as a task takes them.

    Args:
        clips: Frames (F,H,W,3), uint8, of each request; F is 1 for a still.
        kind: The concept's kind.

    Returns:
        (N,H,W,3), for a motion (N,F,H,W,3).
    """
    return np.stack(list(clips)) if kind == "motion" else np.concatenate(list(clips))
