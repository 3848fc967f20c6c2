"""Sentences with a phrase in the place of a concept's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearn.prompts import fill, prompt_templates, subjects_for

if TYPE_CHECKING:
    from encoders import Kind
    from video.models.prompt_book import PromptBook


def sentences_with(concept_phrase: str, kind: Kind, book: PromptBook, count: int) -> list[str]:
    """Return `count` sentences with a phrase (`unlearn.prompts.phrase`) in the concept's place.

    Sentences and, for styles and motions, subjects take turns.
    """
    templates, subjects = prompt_templates(kind), subjects_for(kind, book)
    return [
        fill(templates[i % len(templates)], subjects[i % len(subjects)], concept_phrase)
        for i in range(count)
    ]
