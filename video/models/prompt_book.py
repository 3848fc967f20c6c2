"""The prompts that come with a model, and what it does when a request does not say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from encoders import Kind
from video.errors import BackboneInvalid
from video.models import default_prompts


@dataclass(frozen=True)
class PromptBook:
    """Prompts that come with a model: what it is about, in its own words. All may be empty.

    `retain` are captions over everything the model can show; unlearning holds on to them.
    `generic` names a kind without naming a concept ("a creature"); it anchors a redirection.
    `concepts` lists the model's concepts by kind, each with other phrases that mean it.
    """

    retain: tuple[str, ...] = ()
    generic: Mapping[Kind, str] = field(default_factory=dict[Kind, str])
    concepts: Mapping[Kind, Mapping[str, tuple[str, ...]]] = field(
        default_factory=dict[Kind, Mapping[str, tuple[str, ...]]]
    )

    def synonyms(self, concept: str, kind: Kind) -> tuple[str, ...]:
        """Other phrases for the concept; none if the book does not know it."""
        return self.concepts.get(kind, {}).get(concept, ())


def read_prompts(directory: Path) -> PromptBook:
    """The `prompts.json` of a model directory; the everyday one where there is none.

    Raises:
        BackboneInvalid: the file is not the JSON it should be.
    """
    file = directory / "prompts.json"
    if not file.is_file():
        return everyday_book()
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


def everyday_book() -> PromptBook:
    """What every model has seen a lot of (`video.models.default_prompts`)."""
    nothing: tuple[str, ...] = ()
    concepts: dict[Kind, Mapping[str, tuple[str, ...]]] = {
        kind: dict.fromkeys(names, nothing) for kind, names in default_prompts.CONCEPTS.items()
    }
    return PromptBook(tuple(default_prompts.captions()), default_prompts.GENERIC, concepts)


def read_defaults(directory: Path) -> dict[str, Any]:
    """The `defaults` of `prompts.json`: frames, fps, steps and guidance as measured on the model.

    Returns:
        Keyword arguments for `Capabilities`.

    Raises:
        BackboneInvalid: another key, or a value that is no positive number.
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
