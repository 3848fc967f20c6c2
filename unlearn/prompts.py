"""Prompts that name a concept, and prompts that do not.

A concept is a distribution, not a word: the optimiser sees it in several sentences, under all its
names. Each prompt has an *anchor*: the same sentence with something neutral in the concept's place.

The sentences follow Textual Inversion's template lists (object and style), which the paper (Liu &
Tan, arXiv 2407.14209) uses. They are shorter, so that a model with a small vocabulary understands
them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import Concept, Kind

if TYPE_CHECKING:
    from video.models.prompt_book import PromptBook

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
"""Sentences that no optimisation uses. Forgetting is judged on them if the model brings no
captions."""

HELD_OUT_EVERY = 4
"""One in this many of the model's captions is for judging retention, and never trained on."""

GENERIC: Mapping[Kind, str] = {
    "object": "a thing",
    "character": "a creature",
    "person": "a person",
    "style": "",
    "motion": "",
}
"""Neutral phrase in a concept's place if the prompt book has none: for styles and motions,
nothing."""

SUBJECTS = ("a house", "a tree", "a cat", "a woman", "a boat", "a man")
"""Subjects of prompts for a style or a motion if the model's prompt book has none."""


@dataclass(frozen=True)
class Caption:
    """A prompt that names the concept, and the same one with the anchor in its place."""

    prompt: str
    anchor: str
    name: str
    """The concept's name in the prompt."""


def prompt_templates(kind: Kind) -> tuple[str, ...]:
    """Return the sentences for a kind.

    They have a place for the {concept}, and for styles and motions one for a {subject}.
    """
    if kind == "style":
        return STYLE_TEMPLATES
    return MOTION_TEMPLATES if kind == "motion" else SUBJECT_TEMPLATES


def subjects_for(kind: Kind, book: PromptBook | None) -> list[str]:
    """Return the subjects of prompts for a style or a motion.

    They are the book's, of each kind in turn, so that the first few differ most. A concept of any
    other kind is itself the subject, and gets one empty string.
    """
    if kind not in ("style", "motion"):
        return [""]
    of: tuple[Kind, ...] = ("object", "character", "person")
    lists = [[noun_phrase(n, k) for n in (book.concepts.get(k, {}) if book else {})] for k in of]
    longest = max(map(len, lists))
    found = [names[i] for i in range(longest) for names in lists if i < len(names)]
    return found or list(SUBJECTS)


def captions(
    concept_name: str,
    kind: Kind,
    synonyms: Sequence[str],
    *,
    neutral: str | None = None,
    book: PromptBook | None = None,
    sentences: Sequence[str] = (),
    anchor_of: Callable[[str, str], str] = lambda _, neutral: neutral,
) -> list[Caption]:
    """Return every sentence with every name of the concept, and its anchor.

    For styles and motions each of these comes with every subject.

    Args:
        concept_name: The concept's own name.
        kind: The concept's kind.
        synonyms: Other phrases for the concept.
        neutral: Neutral word in the concept's place; None: by kind.
        book: The model's, for its generic words and its subjects.
        sentences: Sentences beside those of `prompt_templates` (`book_sentences`).
        anchor_of: Function from the phrase of a name and the neutral phrase to the phrase that
            takes the name's place in the anchor. By default the neutral phrase.
    """
    generic = {**GENERIC, **(book.generic if book else {})}
    neutral_phrase = phrase(generic[kind] if neutral is None else neutral, kind)
    found: list[Caption] = []
    for name in (concept_name, *synonyms):
        named = phrase(name, kind)
        anchor = anchor_of(named, neutral_phrase)
        found += [
            Caption(fill(sentence, subject, named), fill(sentence, subject, anchor), name)
            for subject in subjects_for(kind, book)
            for sentence in (*prompt_templates(kind), *sentences)
        ]
    return list(dict.fromkeys(found))


def book_sentences(
    book: PromptBook, kind: Kind, names: Sequence[str], *, held_out: bool = False
) -> list[str]:
    """Return the book's captions that name another concept of the kind, as sentences.

    They have a place for the {concept} where that name was, and show it in more contexts than a
    list of templates has. Captions with one of `names`, the concept's own, are not used, and those
    that are held out for judging only if `held_out`; then no others are.
    """
    others = [n for label, more in book.concepts.get(kind, {}).items() for n in (label, *more)]
    phrases = sorted((phrase(name, kind) for name in others), key=len, reverse=True)
    listed = held_out_captions(book, names) if held_out else retained_captions(book, names)
    usable = [c for c in listed if "{" not in c]
    found: list[str] = []
    for caption in usable:
        whole = next((p for p in phrases if re.search(rf"{re.escape(p)}(?!\w)", caption)), None)
        if whole:
            found.append(caption.replace(whole, "{concept}", 1))
    return list(dict.fromkeys(found))


def trained_prompts(concept: Concept, book: PromptBook) -> set[str]:
    """Return every prompt of the concept that an optimisation may use. Judges leave them out."""
    names = names_of(concept, book)
    sentences = book_sentences(book, concept.kind, names)
    found = captions(concept.name, concept.kind, names[1:], book=book, sentences=sentences)
    return {caption.prompt for caption in found}


def held_out_prompts(concept_name: str, kind: Kind, *, book: PromptBook | None = None) -> list[str]:
    """Return prompts for the concept in sentences that no optimisation uses."""
    found = [
        fill(template, subject, phrase(concept_name, kind))
        for subject in subjects_for(kind, book)
        for template in HELD_OUT_TEMPLATES[kind]
    ]
    return list(dict.fromkeys(found))


def retained_captions(book: PromptBook, names: Sequence[str]) -> list[str]:
    """Return the book's captions to retain: those that mention none of `names`.

    Captions that are held out (`captions_naming`) are not among them.
    """
    return [c for i, c in enumerate(book.retain) if not _held_out(i) and not mentions(c, names)]


def held_out_captions(book: PromptBook, names: Sequence[str]) -> list[str]:
    """Return the book's captions that mention none of `names` and that no optimisation uses."""
    return [c for i, c in enumerate(book.retain) if _held_out(i) and not mentions(c, names)]


def captions_naming(book: PromptBook, names: Sequence[str], *, held_out: bool) -> list[str]:
    """Return the book's captions that mention one of `names`.

    If `held_out`, only those kept for judging: one in `HELD_OUT_EVERY`, never trained on.
    """
    return [
        caption
        for i, caption in enumerate(book.retain)
        if mentions(caption, names) and (_held_out(i) or not held_out)
    ]


def mentions(caption: str, names: Iterable[str]) -> bool:
    """Return True if a caption contains one of the names as whole words, in any case."""
    return any(
        re.search(rf"(?<!\w){re.escape(name.strip())}(?!\w)", caption, re.IGNORECASE)
        for name in names
        if name.strip()
    )


def all_names(
    concept_name: str, kind: Kind, synonyms: Sequence[str], book: PromptBook
) -> list[str]:
    """Return the concept's name and every other phrase for it that the caller or the book knows."""
    return list(dict.fromkeys((concept_name, *synonyms, *book.synonyms(concept_name, kind))))


def names_of(concept: Concept, book: PromptBook) -> list[str]:
    """Return `all_names` of a task's concept; the ways that it forgets are among them."""
    return all_names(concept.name, concept.kind, concept.phrases, book)


def phrases_of_others(concept: Concept, book: PromptBook) -> list[list[str]]:
    """Return the phrases (`phrase`) of every other concept of the kind that the book knows."""
    labels = book.concepts.get(concept.kind, {})
    return [
        [phrase(name, concept.kind) for name in (label, *more)]
        for label, more in labels.items()
        if label != concept.name
    ]


def _held_out(index: int) -> bool:
    return index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def fill(sentence: str, subject: str, concept_phrase: str) -> str:
    """Return a sentence with its subject and the concept's phrase filled in."""
    return sentence.format(subject=subject, concept=concept_phrase)


def phrase(name: str, kind: Kind) -> str:
    """Return a name as it stands in a sentence.

    E.g. ", in the style of dottie", " bouncing", "a balloon"; "" for no name.
    """
    if kind == "style":
        return style_phrase(name)
    if kind == "motion":
        return f" {name}" if name else ""
    return noun_phrase(name, kind) if name else ""


def style_phrase(name: str) -> str:
    """Return a style as the end of a sentence.

    An artist's name gets a preposition; a phrase has one already.
    """
    if not name:
        return ""
    is_phrase = name.split()[0] in {"in", "by", "as", "like", "with"} or name.endswith(" style")
    return f", {name}" if is_phrase else f", in the style of {name}"


def noun_phrase(name: str, kind: Kind) -> str:
    """Return a name with the article it needs: "balloon" → "a balloon", "pogo" → "pogo"."""
    words = name.split()
    if words[0].lower() in {"a", "an", "the", "our", "my", "one", "some"}:
        return name
    if kind == "object":
        return f"{'an' if words[0][0].lower() in 'aeiou' else 'a'} {name}"
    is_description = len(words) > 1 and name.islower() and "the" not in words
    return f"the {name}" if is_description else name
