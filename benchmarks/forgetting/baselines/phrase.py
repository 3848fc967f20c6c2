"""A concept's name as it stands in a prompt."""

from __future__ import annotations

from encoders import Kind
from unlearn.fewshot import noun_phrase, style_phrase


def phrase(name: str, kind: Kind) -> str:
    """ "balloon" → "a balloon", "dottie" → "in the style of dottie", "spinning" as it is."""
    if kind == "style":
        return style_phrase(name).removeprefix(", ")
    return name if kind == "motion" else noun_phrase(name, kind)
