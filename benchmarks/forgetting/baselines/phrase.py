"""A concept's name by itself, as it would stand in a prompt."""

from __future__ import annotations

from encoders import Kind
from unlearn import prompts


def phrase(name: str, kind: Kind) -> str:
    """ "balloon" → "a balloon", "dottie" → "in the style of dottie", "spinning" as it is."""
    return prompts.phrase(name, kind).lstrip(", ")
