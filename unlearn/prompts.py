"""The few shots: in which words the concept is asked for, and in which it is not.

A concept is a distribution, not a word: its few images are made from prompts that put it into
several sentences, and the optimiser sees it in those sentences under all its names. Beside each
prompt stands its *anchor*, the same sentence with something neutral in the concept's place.

The sentences are in the manner of Textual Inversion's template lists (object and style), which the
paper uses; shorter, so that a model with a small vocabulary understands them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import Concept, Kind

if TYPE_CHECKING:
    import torch

    from video.capabilities import Capabilities
    from video.frames import Frames
    from video.generation_request import GenerationRequest
    from video.models.prompt_book import PromptBook

FEW_SHOTS = 4
"""Images (for a motion: clips) to learn from, as in the paper."""

SUBJECT_TEMPLATES = (
    "{concept}",
    "a picture of {concept}",
    "a drawing of {concept}",
    "{concept} in a meadow",
    "here is {concept}",
    "{concept} at night",
    "a cartoon of {concept} by the sea",
    "{concept} in a room",
)
STYLE_TEMPLATES = (
    "{subject}{concept}",
    "a picture of {subject}{concept}",
    "a drawing of {subject} in a meadow{concept}",
    "{subject} by the sea{concept}",
    "a painting of {subject}{concept}",
    "here is {subject} at night{concept}",
)
MOTION_TEMPLATES = (
    "{subject}{concept}",
    "a video of {subject}{concept}",
    "{subject}{concept} in a meadow",
    "{subject}{concept} by the sea",
    "here is {subject}{concept}",
    "{subject}{concept} in a room",
)
HELD_OUT_TEMPLATES: Mapping[Kind, Sequence[str]] = {
    "object": ("look, {concept}", "{concept} at sunset", "a video of {concept} on the sand"),
    "character": ("look, {concept}", "{concept} at sunset", "a video of {concept} on the sand"),
    "person": ("look, {concept}", "{concept} at sunset", "a video of {concept} on the sand"),
    "style": ("look, {subject}{concept}", "{subject} at sunset{concept}"),
    "motion": ("look, {subject}{concept}", "{subject}{concept} at sunset"),
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
    """The sentences for a kind, with a place for the {concept}, and for styles and motions for a
    {subject}.
    """
    if kind == "style":
        return STYLE_TEMPLATES
    return MOTION_TEMPLATES if kind == "motion" else SUBJECT_TEMPLATES


def few_shot_prompts(
    concept: str, kind: Kind, count: int, *, book: PromptBook | None = None
) -> list[str]:
    """`count` prompts for the images to learn from, all under the concept's own name: sentences
    and, for styles and motions, subjects in turn; they repeat once all are used.
    """
    templates, subjects = prompt_templates(kind), _subjects(kind, book)
    return [
        fill(templates[i % len(templates)], subjects[i % len(subjects)], phrase(concept, kind))
        for i in range(count)
    ]


def few_shot_requests(
    concept: str, kind: Kind, *, capabilities: Capabilities, book: PromptBook, seed: int = 0
) -> list[GenerationRequest]:
    """What to ask the base for: stills of the image twin, or clips for a motion, one seed each."""
    from video.generation_request import GenerationRequest

    return [
        GenerationRequest(
            prompt,
            seed=(seed + number) % 2**63,
            steps=capabilities.steps_default,
            guidance=capabilities.guidance_default,
            frames=capabilities.frames_default if kind == "motion" else None,
            low_priority=True,
        )
        for number, prompt in enumerate(few_shot_prompts(concept, kind, FEW_SHOTS, book=book))
    ]


def few_shots_of(clips: Sequence[Frames], kind: Kind) -> Frames:
    """The results of `few_shot_requests` as a task takes them: (N,H,W,3), for a motion
    (N,F,H,W,3).
    """
    import numpy as np

    return np.stack(list(clips)) if kind == "motion" else np.concatenate(list(clips))


def captions(
    concept: str,
    kind: Kind,
    synonyms: Sequence[str],
    *,
    neutral: str | None = None,
    book: PromptBook | None = None,
    sentences: Sequence[str] = (),
    instead: Callable[[str, str], str] = lambda _, neutral: neutral,
) -> list[Caption]:
    """Every sentence with every name of the concept (and, for styles and motions, with every
    subject), each beside its anchor.

    Args:
        synonyms: other phrases for the concept.
        neutral: what to put in the concept's place; None: by kind.
        book: the model's, for its generic words and its subjects.
        sentences: more than `prompt_templates` has (`book_sentences`).
        instead: (a name, the neutral) as they stand in a sentence → what stands there in the
            anchor.
    """
    generic = {**GENERIC, **(book.generic if book else {})}
    meaningless = phrase(generic[kind] if neutral is None else neutral, kind)
    found: list[Caption] = []
    for name in (concept, *synonyms):
        named = phrase(name, kind)
        anchor = instead(named, meaningless)
        found += [
            Caption(fill(sentence, subject, named), fill(sentence, subject, anchor), name)
            for subject in _subjects(kind, book)
            for sentence in (*prompt_templates(kind), *sentences)
        ]
    return list(dict.fromkeys(found))


def book_sentences(book: PromptBook, kind: Kind, names: Sequence[str]) -> list[str]:
    """The book's captions that name another concept of the kind, with a place where that name was:
    a concept comes in more company than a list of templates has. The captions with the concept's
    own names and those held out are for judging.
    """
    others = [n for label, more in book.concepts.get(kind, {}).items() for n in (label, *more)]
    phrases = sorted((phrase(name, kind) for name in others), key=len, reverse=True)
    usable = [c for c in retained_captions(book, names) if "{" not in c]
    found: list[str] = []
    for caption in usable:
        whole = next((p for p in phrases if re.search(rf"{re.escape(p)}(?!\w)", caption)), None)
        if whole:
            found.append(caption.replace(whole, "{concept}", 1))
    return list(dict.fromkeys(found))


def trained_prompts(concept: Concept, book: PromptBook) -> set[str]:
    """Every prompt of the concept that an optimisation may read: what judges leave out."""
    names = names_of(concept, book)
    sentences = book_sentences(book, concept.kind, names)
    found = captions(concept.name, concept.kind, names[1:], book=book, sentences=sentences)
    return {caption.prompt for caption in found}


def held_out_prompts(concept: str, kind: Kind, *, book: PromptBook | None = None) -> list[str]:
    """Prompts for the concept in sentences that no optimisation uses."""
    found = [
        fill(template, subject, phrase(concept, kind))
        for subject in _subjects(kind, book)
        for template in HELD_OUT_TEMPLATES[kind]
    ]
    return list(dict.fromkeys(found))


def retained_captions(book: PromptBook, names: Sequence[str]) -> list[str]:
    """The book's captions to hold on to: those that mention none of `names` and are not held out
    (`captions_naming`).
    """
    return [c for i, c in enumerate(book.retain) if not _held_out(i) and not mentions(c, names)]


def captions_naming(book: PromptBook, names: Sequence[str], *, held_out: bool) -> list[str]:
    """The book's captions that mention one of `names`; if `held_out`, only those kept for judging:
    one in `HELD_OUT_EVERY`, which no optimisation holds on to.
    """
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


def phrases_of_others(concept: Concept, book: PromptBook) -> list[list[str]]:
    """Of every other concept of the kind that the book knows, its names as they stand in
    sentences.
    """
    labels = book.concepts.get(concept.kind, {})
    return [
        [phrase(name, concept.kind) for name in (label, *more)]
        for label, more in labels.items()
        if label != concept.name
    ]


def draw(population: int, count: int, generator: torch.Generator) -> list[int]:
    """`count` different indices at random, or all there are."""
    import torch

    return torch.randperm(population, generator=generator)[:count].tolist()


def _held_out(index: int) -> bool:
    return index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def fill(sentence: str, subject: str, concept: str) -> str:
    """A sentence with its subject, and the concept's phrase, in their places."""
    return sentence.format(subject=subject, concept=concept)


def phrase(name: str, kind: Kind) -> str:
    """A name as it stands in a sentence: ", in the style of dottie", " bouncing", "a balloon"; ""
    for none.
    """
    if kind == "style":
        return style_phrase(name)
    if kind == "motion":
        return f" {name}" if name else ""
    return noun_phrase(name, kind) if name else ""


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
    first few differ most. Other kinds are subjects themselves: one that is never looked at.
    """
    if kind not in ("style", "motion"):
        return [""]
    of: tuple[Kind, ...] = ("object", "character", "person")
    lists = [[noun_phrase(n, k) for n in (book.concepts.get(k, {}) if book else {})] for k in of]
    longest = max(map(len, lists))
    found = [names[i] for i in range(longest) for names in lists if i < len(names)]
    return found or list(SUBJECTS)
