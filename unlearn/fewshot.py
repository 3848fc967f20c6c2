"""The few shots: in which words the concept is asked for, and in which it is not.

A concept is a distribution, not a word: its few images are made from prompts that put it into
several sentences, and the optimiser sees it in those sentences under all its names. Beside each
prompt stands its *anchor*, the same sentence with something neutral in the concept's place.

The sentences are in the manner of Textual Inversion's template lists (object and style), which the
paper uses; shorter, so that a model with a small vocabulary understands them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import Concept, Kind

if TYPE_CHECKING:
    import torch

    from video.backbone import Frames, Limits, PromptBook
    from video.requests import GenerationRequest

FEW_SHOTS = 4
"""Images (for a motion: clips) to learn from, as in the paper."""

SUBJECT_TEMPLATES = (
    "{subject}",
    "a picture of {subject}",
    "a drawing of {subject}",
    "{subject} in a meadow",
    "here is {subject}",
    "{subject} at night",
    "a cartoon of {subject} by the sea",
    "{subject} in a room",
)
STYLE_TEMPLATES = (
    "{subject}{style}",
    "a picture of {subject}{style}",
    "a drawing of {subject} in a meadow{style}",
    "{subject} by the sea{style}",
    "a painting of {subject}{style}",
    "here is {subject} at night{style}",
)
MOTION_TEMPLATES = (
    "{subject}{motion}",
    "a video of {subject}{motion}",
    "{subject}{motion} in a meadow",
    "{subject}{motion} by the sea",
    "here is {subject}{motion}",
    "{subject}{motion} in a room",
)
HELD_OUT_TEMPLATES: Mapping[Kind, Sequence[str]] = {
    "object": ("look, {subject}", "{subject} at sunset", "a video of {subject} on the sand"),
    "character": ("look, {subject}", "{subject} at sunset", "a video of {subject} on the sand"),
    "person": ("look, {subject}", "{subject} at sunset", "a video of {subject} on the sand"),
    "style": ("look, {subject}{style}", "{subject} at sunset{style}"),
    "motion": ("look, {subject}{motion}", "{subject}{motion} at sunset"),
}
"""Sentences no optimisation uses: what forgetting is judged on if the model brings no captions."""

HELD_OUT_EVERY = 4
"""One in this many of the model's captions is for judging what is kept, and never trained on."""

GENERIC: Mapping[Kind, str] = {
    "object": "a thing",
    "character": "a creature",
    "person": "a person",
    "style": "",
    "motion": "",
}
"""What stands in a concept's place where the prompt book does not say: for styles and motions,
nothing."""

SUBJECTS = ("a house", "a tree", "a cat", "a woman", "a boat", "a man")
"""Who appears in a style or a motion if the model's prompt book names nobody."""


@dataclass(frozen=True)
class Caption:
    """A prompt that names the concept, and the same one with the anchor in its place."""

    prompt: str
    anchor: str
    name: str
    """By which of its names the prompt calls the concept."""


def prompt_templates(kind: Kind) -> tuple[str, ...]:
    """The sentences for a kind, with places for {subject}, and {style} or {motion}."""
    if kind == "style":
        return STYLE_TEMPLATES
    return MOTION_TEMPLATES if kind == "motion" else SUBJECT_TEMPLATES


def few_shot_prompts(
    concept: str, kind: Kind, count: int, *, book: PromptBook | None = None
) -> list[str]:
    """`count` prompts for the images to learn from, all under the concept's own name: sentences
    and, for styles and motions, subjects in turn; they repeat once all are used."""
    templates, subjects = prompt_templates(kind), _subjects(kind, book)
    return [
        _fill(templates[i % len(templates)], kind, subjects[i % len(subjects)], concept)
        for i in range(count)
    ]


def few_shot_requests(
    concept: str, kind: Kind, *, limits: Limits, book: PromptBook, seed: int = 0
) -> list[GenerationRequest]:
    """What to ask the base for: stills of the image twin, or clips for a motion, one seed each."""
    from video.requests import GenerationRequest

    return [
        GenerationRequest(
            prompt,
            seed=(seed + number) % 2**63,
            steps=limits.steps_default,
            guidance=limits.guidance_default,
            frames=limits.frames_default if kind == "motion" else None,
            low_priority=True,
        )
        for number, prompt in enumerate(few_shot_prompts(concept, kind, FEW_SHOTS, book=book))
    ]


def few_shots_of(clips: Sequence[Frames], kind: Kind) -> Frames:
    """The results of `few_shot_requests` as a task takes them: (N,H,W,3), for a motion
    (N,F,H,W,3)."""
    import numpy as np

    return np.stack(list(clips)) if kind == "motion" else np.concatenate(list(clips))


def captions(
    concept: str,
    kind: Kind,
    synonyms: Sequence[str],
    *,
    anchor: str | None = None,
    book: PromptBook | None = None,
) -> list[Caption]:
    """Every sentence with every name of the concept (and, for styles and motions, with every
    subject), each beside its anchor.

    Args:
        synonyms: other phrases for the concept.
        anchor: what to put in the concept's place; None: by kind.
        book: the model's, for its generic words and its subjects.
    """
    generic = {**GENERIC, **(book.generic if book else {})}
    neutral = generic[kind] if anchor is None else anchor
    found = [
        Caption(_fill(template, kind, subject, name), _fill(template, kind, subject, neutral), name)
        for name in (concept, *synonyms)
        for subject in _subjects(kind, book)
        for template in prompt_templates(kind)
    ]
    return list(dict.fromkeys(found))


def held_out_prompts(concept: str, kind: Kind, *, book: PromptBook | None = None) -> list[str]:
    """Prompts for the concept in sentences that no optimisation uses."""
    found = [
        _fill(template, kind, subject, concept)
        for subject in _subjects(kind, book)
        for template in HELD_OUT_TEMPLATES[kind]
    ]
    return list(dict.fromkeys(found))


def retained_captions(book: PromptBook, names: Sequence[str]) -> list[str]:
    """The book's captions to hold on to: those that mention none of `names` and are not held out
    (`captions_naming`)."""
    return [c for i, c in enumerate(book.retain) if not _held_out(i) and not mentions(c, names)]


def captions_naming(book: PromptBook, names: Sequence[str], *, held_out: bool) -> list[str]:
    """The book's captions that mention one of `names`; if `held_out`, only those kept for judging:
    one in `HELD_OUT_EVERY`, which no optimisation holds on to."""
    return [
        caption
        for i, caption in enumerate(book.retain)
        if mentions(caption, names) and (_held_out(i) or not held_out)
    ]


def mentions(caption: str, names: Iterable[str]) -> bool:
    """Whether a caption contains one of the names as whole words, whatever their case."""
    return any(
        re.search(rf"(?<!\w){re.escape(name.strip())}(?!\w)", caption, re.IGNORECASE)
        for name in names
        if name.strip()
    )


def all_names(concept: str, kind: Kind, synonyms: Sequence[str], book: PromptBook) -> list[str]:
    """The concept's name and every other phrase for it that the caller or the book knows."""
    return list(dict.fromkeys((concept, *synonyms, *book.synonyms(concept, kind))))


def names_of(concept: Concept, book: PromptBook) -> list[str]:
    """`all_names` of a task's concept."""
    return all_names(concept.name, concept.kind, concept.synonyms, book)


def draw(population: int, count: int, generator: torch.Generator) -> list[int]:
    """`count` different indices at random, or all there are."""
    import torch

    return torch.randperm(population, generator=generator)[:count].tolist()


def _held_out(index: int) -> bool:
    return index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def _fill(template: str, kind: Kind, subject: str, name: str) -> str:
    if kind == "style":
        return template.format(subject=subject, style=style_phrase(name))
    if kind == "motion":
        return template.format(subject=subject, motion=f" {name}" if name else "")
    return template.format(subject=noun_phrase(name, kind))


def style_phrase(name: str) -> str:
    """A style as the end of a sentence: an artist's name gets a preposition, a phrase has one."""
    if not name:
        return ""
    is_phrase = name.split()[0] in {"in", "by", "as", "like", "with"} or name.endswith(" style")
    return f", {name}" if is_phrase else f", in the style of {name}"


def noun_phrase(name: str, kind: Kind) -> str:
    """A name as it stands in a sentence: "balloon" → "a balloon", "pogo" → "pogo"."""
    words = name.split()
    if words[0].lower() in {"a", "an", "the", "our", "my", "one", "some"}:
        return name
    if kind == "object":
        return f"{'an' if words[0][0].lower() in 'aeiou' else 'a'} {name}"
    is_description = len(words) > 1 and name.islower() and "the" not in words
    return f"the {name}" if is_description else name


def _subjects(kind: Kind, book: PromptBook | None) -> list[str]:
    """Who appears in a style or a motion: the book's subjects, of each kind in turn, so that the
    first few differ most. Other kinds are subjects themselves: one that is never looked at."""
    if kind not in ("style", "motion"):
        return [""]
    of: tuple[Kind, ...] = ("object", "character", "person")
    lists = [[noun_phrase(n, k) for n in (book.concepts.get(k, {}) if book else {})] for k in of]
    longest = max(map(len, lists))
    found = [names[i] for i in range(longest) for names in lists if i < len(names)]
    return found or list(SUBJECTS)
