"""Prompt book: the prompts that come with a model, and its defaults for requests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from encoders import Kind
from video.errors import BackboneInvalid
from video.models import default_prompts

_EXAMPLES_OF_A_KIND = 2


@dataclass(frozen=True)
class PromptBook:
    """Prompts and concepts of a model, in the words of its training. All may be empty."""

    retain: tuple[str, ...] = ()
    """Captions over everything the model can show; unlearning preserves them."""
    generic: Mapping[Kind, str] = field(default_factory=dict[Kind, str])
    """Kind → phrase for it without a concept ("a creature"), the anchor of a redirection."""
    concepts: Mapping[Kind, Mapping[str, tuple[str, ...]]] = field(
        default_factory=dict[Kind, Mapping[str, tuple[str, ...]]]
    )
    """Kind → concept → synonyms."""

    def synonyms(self, concept: str, kind: Kind) -> tuple[str, ...]:
        """Return other phrases for a concept; none if the book does not have it."""
        return self.concepts.get(kind, {}).get(concept, ())

    def examples(self) -> list[str]:
        """Return short captions, a few for each kind of concept."""
        found: list[str] = []
        for names in self.concepts.values():
            for name in list(names)[:_EXAMPLES_OF_A_KIND]:
                named = re.compile(rf"\b{re.escape(name)}\b")
                captions = [caption for caption in self.retain if named.search(caption)]
                # The third shortest: the shortest is often the bare name.
                captions = sorted(captions, key=lambda caption: (len(caption), caption))[:3]
                found += captions[-1:]
        return list(dict.fromkeys(found))


def read_prompts(directory: Path) -> PromptBook:
    """Read the `prompts.json` of a model's directory; without one, return the default book.

    Raises:
        BackboneInvalid: the file is not JSON of this form.
    """
    file = directory / "prompts.json"
    if not file.is_file():
        return default_book()
    try:
        data = cast(dict[str, Any], json.loads(file.read_bytes()))
        concepts: dict[Kind, Mapping[str, tuple[str, ...]]] = {}
        for kind, names in data.get("concepts", {}).items():
            if kind not in get_args(Kind):
                raise ValueError(f"unknown kind {kind!r}")
            concepts[kind] = {str(name): tuple(map(str, ways)) for name, ways in names.items()}
        return PromptBook(
            retain=tuple(map(str, data.get("retain", ()))),
            generic={kind: str(phrase) for kind, phrase in data.get("generic", {}).items()},
            concepts=concepts,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise BackboneInvalid(f"{file} cannot be read: {error}") from error


def default_book() -> PromptBook:
    """Return the book of concepts that every model knows (`video.models.default_prompts`)."""
    nothing: tuple[str, ...] = ()
    concepts: dict[Kind, Mapping[str, tuple[str, ...]]] = {
        kind: dict.fromkeys(names, nothing) for kind, names in default_prompts.CONCEPTS.items()
    }
    return PromptBook(tuple(default_prompts.captions()), default_prompts.GENERIC, concepts)


def read_defaults(directory: Path) -> dict[str, Any]:
    """Read the `defaults` of `prompts.json`: frames, fps, steps and guidance for the model.

    Returns:
        Keyword arguments for `Capabilities`.

    Raises:
        BackboneInvalid: a key is unknown, or a value is not a positive number.
    """
    file = directory / "prompts.json"
    if not file.is_file():
        return {}
    defaults = json.loads(file.read_bytes()).get("defaults", {})
    for key, value in defaults.items():
        if key not in ("frames", "fps", "steps", "guidance"):
            raise BackboneInvalid(f"{file}: defaults has an unknown entry {key!r}")
        if not isinstance(value, (int, float)) or value <= 0:
            raise BackboneInvalid(f"{file}: the default {key} must be positive, not {value!r}")
    return {f"{key}_default": value for key, value in defaults.items()}
