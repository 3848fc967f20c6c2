"""Tables on the screen for what nobody named: ways (goal F12) and pictures (goal F13)."""

from __future__ import annotations

from typing import Any

from benchmarks.results import rate_text, show


def show_unnamed(found: dict[str, Any]) -> None:
    """Print the parts about ways and pictures that are in `found`."""
    if "ways" in found:
        lines = [
            [group, *(rate_text(one) for one in rates.values())]
            for group, rates in found["ways"]["all"].items()
        ]
        show("Prompts without the name (F12)", ("", "base", "encoder"), lines)
    if "pictures" in found:
        pictures = found["pictures"]
        print(f"Pictures without a name (F13), found: {rate_text(pictures['found'])}")
        print(f"forgotten, of all: {rate_text(pictures['forgotten'])}")
        print(f"found and forgotten, attacked: {rate_text(pictures['attacked'])}")
        print(f"Things that it cannot draw, refused: {rate_text(pictures['refused'])}")
