"""The phrase that names a concept in a prompt."""

from __future__ import annotations

from encoders import Kind
from unlearn import prompts


def phrase(name: str, kind: Kind) -> str:
    """Return "a balloon" for "balloon", "in the style of dottie" for "dottie", "spinning" as is."""
    return prompts.phrase(name, kind).lstrip(", ")
