"""Prompts of probes: those that name a concept, and those that name the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import cycle
from typing import TYPE_CHECKING, Any

from encoders import Concept, Kind
from unlearn.prompts import (
    all_names,
    captions_naming,
    held_out_prompts,
    mentions,
    names_of,
    trained_prompts,
)

if TYPE_CHECKING:
    from unlearn.judges.base import Judge
    from video.models.prompt_book import PromptBook

PROBED_WAY_RATE = 0.75
"""Least rate of a way that is probed: others would ask what the base does not show either."""

NamedPrompt = tuple[str, str, Kind]
"""A prompt, and the name and kind of the concept that it names."""


def target_prompts(concept: Concept, book: PromptBook) -> list[NamedPrompt]:
    """List the prompts that mean the concept and were never trained on, shuffled.

    They name it, or have one of its forgotten ways that the base mostly draws it with.
    """
    name, kind, names = concept.name, concept.kind, names_of(concept, book)
    prompts = captions_naming(book, names, held_out=False)
    prompts += held_out_prompts(name, kind, book=book)
    drawn = [way for way in concept.ways if way.forgotten and way.rate >= PROBED_WAY_RATE]
    prompts += [held_out_prompts(way.phrase, kind, book=book)[0] for way in drawn]
    trained_on = trained_prompts(concept, book)
    return shuffled([(prompt, name, kind) for prompt in prompts if prompt not in trained_on])


def other_prompts(
    concepts: Sequence[Concept], judge: Judge, book: PromptBook
) -> tuple[list[NamedPrompt], list[NamedPrompt]]:
    """List prompts for every other concept of the judge's `labels`.

    Returns:
        Those of the forgotten concepts' kinds, and those of the other kinds. In each list every
        concept comes once before any comes a second time.
    """
    forgotten = {(concept.name, concept.kind) for concept in concepts}
    names = [name for concept in concepts for name in names_of(concept, book)]
    same: list[list[NamedPrompt]] = []
    other: list[list[NamedPrompt]] = []
    for kind, labels in judge.labels.items():
        of_kind = in_turn(
            shuffled([(prompt, label, kind) for prompt in prompts_naming(label, kind, names, book)])
            for label in labels
            if (label, kind) not in forgotten
        )
        (same if kind in {concept.kind for concept in concepts} else other).append(of_kind)
    return in_turn(same), in_turn(other)


def prompts_naming(label: str, kind: Kind, without: Sequence[str], book: PromptBook) -> list[str]:
    """List prompts that name the concept `label` and mention none of the names in `without`."""
    names = all_names(label, kind, (), book)
    named = captions_naming(book, names, held_out=True)
    found = [caption for caption in named if not mentions(caption, without)]
    return found or [
        prompt
        for prompt in held_out_prompts(label, kind, book=book)
        if not mentions(prompt, without)
    ]


def shuffled(prompts: Sequence[NamedPrompt]) -> list[NamedPrompt]:
    """Sort prompts by a hash of each.

    Books list captions alphabetically, so the first few would all have one sentence form. The hash
    depends on the prompt alone, so the order of two prompts does not depend on the others.
    """
    return sorted(prompts, key=number)


def number(of: tuple[Any, ...]) -> int:
    """Hash a tuple to a number, the same on every machine."""
    return int.from_bytes(sha256(repr(of).encode()).digest())


def in_turn(lists: Iterable[list[Any]]) -> list[Any]:
    """Interleave lists: the first item of each, then the second of each, and so on."""
    kept = list(lists)
    longest = max(map(len, kept), default=0)
    return [each[i] for i in range(longest) for each in kept if i < len(each)]


def alternating(pools: Sequence[Sequence[NamedPrompt]]) -> Iterator[NamedPrompt]:
    """Yield one item from each pool in turn, without end; a used-up pool starts again."""
    endless = [cycle(pool) for pool in pools if pool]
    while endless:
        yield from (next(pool) for pool in endless)
