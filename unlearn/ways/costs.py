"""Costs of a way: what else would be lost if the encoder forgot it like a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from encoders import Concept
from unlearn.prompts import GENERIC, mentions, names_of

if TYPE_CHECKING:
    from video.models.prompt_book import PromptBook

ALSO = 0.2
"""Share of a way's pictures that show another concept, from which it is a way to that one too."""


def why_kept(
    phrase: str,
    concept: Concept,
    book: PromptBook,
    *,
    retain: Sequence[str] = (),
    others: Mapping[str, int],
    n: int,
) -> str:
    """Return the reason not to forget a way; "" if it costs nothing else.

    Args:
        phrase: The way.
        concept: The concept that it draws.
        book: The model's captions, its concepts and its neutral words.
        retain: Captions to retain beside the book's.
        others: Pictures of the way in which the judge saw another concept, by that one's name.
        n: Number of these pictures.
    """
    caption = caption_with(phrase, concept, book, retain)
    if caption is not None:
        return f"Other captions have it too: “{caption}”."
    also = [f"{name} ({count} of {n})" for name, count in others.items() if count >= ALSO * n]
    return f"It also draws {', '.join(also)}." if also else ""


def caption_with(
    phrase: str, concept: Concept, book: PromptBook, retain: Sequence[str] = ()
) -> str | None:
    """Return the shortest text that has the phrase and does not mean the concept; None: none does.

    Looked at are the captions to retain, the other concepts' names and descriptions, and the
    neutral words.
    """
    names = names_of(concept, book)
    described = [
        name
        for kind, labels in book.concepts.items()
        for label, more in labels.items()
        for name in (label, *more)
        if (label, kind) != (concept.name, concept.kind)
    ]
    texts = [*book.retain, *retain, *described, *GENERIC.values(), *book.generic.values()]
    found = [text for text in texts if mentions(text, [phrase]) and not mentions(text, names)]
    return min(found, key=len, default=None)
