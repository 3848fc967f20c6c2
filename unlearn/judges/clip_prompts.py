"""The sentences that CLIP compares a frame with: a concept's, and those of its alternatives.

A label is several sentences with the same meaning. CLIP learned from captions, so a sentence fits a
picture better than a bare word, and several sentences are more reliable than one: prompt
engineering and ensembling, Radford et al. 2021 (arXiv 2103.00020), sec. 3.1.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from encoders import Kind
from unlearn.prompts import GENERIC, all_names, mentions, phrase
from video.models.default_prompts import CONCEPTS
from video.models.prompt_book import PromptBook

Label = tuple[str, ...]
"""Sentences that all say the same about a frame."""

OBJECT_TEMPLATES = (
    "a photo of {name}.",
    "a picture of {name}.",
    "a close-up photo of {name}.",
    "a blurry photo of {name}.",
    "a photo of {name} in the distance.",
    "a drawing of {name}.",
    "a cartoon of {name}.",
    "a still from a video of {name}.",
)
CHARACTER_TEMPLATES = (
    "a picture of {name}.",
    "a cartoon of {name}.",
    "a drawing of {name}.",
    "a rendering of {name}.",
    "a blurry picture of {name}.",
    "a picture of {name} in the distance.",
    "a still from a film with {name}.",
)
PERSON_TEMPLATES = (
    "a photo of {name}.",
    "a portrait of {name}.",
    "a close-up photo of {name}.",
    "a blurry photo of {name}.",
    "a photo of {name} in the distance.",
    "a drawing of {name}.",
    "a still from a video of {name}.",
)
STYLE_TEMPLATES = (
    "a picture{name}.",
    "a painting{name}.",
    "a drawing{name}.",
    "a photo{name}.",
    "an illustration{name}.",
    "a still from a video{name}.",
)
TEMPLATES: Mapping[Kind, Sequence[str]] = {
    "object": OBJECT_TEMPLATES,
    "character": CHARACTER_TEMPLATES,
    "person": PERSON_TEMPLATES,
    "style": STYLE_TEMPLATES,
}
"""The sentences by kind. A thing may be near or far, sharp or blurred, drawn or filmed, as in
generated frames. Motions are missing, because no single frame shows one."""

PLAIN: Label = tuple(template.format(name="") for template in STYLE_TEMPLATES)
"""The label that is true of every frame: "a picture."."""


def offered(book: PromptBook) -> Mapping[Kind, Sequence[str]]:
    """Return the concepts to compare with each other, by kind.

    These are the book's, or well-known ones for a kind of which the book has none.
    """
    return {kind: list(book.concepts.get(kind, ())) or CONCEPTS[kind] for kind in TEMPLATES}


def label(names: Sequence[str], kind: Kind) -> Label:
    """Fill every sentence of the kind with every name; the name "" leaves a style out."""
    filled = [phrase(n, kind) for n in names]
    return tuple(template.format(name=name) for name in filled for template in TEMPLATES[kind])


def labels_for(concept: str, kind: Kind, others: Sequence[str], book: PromptBook) -> list[Label]:
    """List the concept's label, then its alternatives.

    The alternatives are the kind's generic word ("a thing"), `PLAIN`, and each of `others`, without
    those that share the concept's name: "Vincent van Gogh" is no alternative to "van Gogh", since a
    frame that shows one shows both. Each label has all the names that the book has for its concept.
    """
    names = all_names(concept, kind, (), book)
    generic = {**GENERIC, **book.generic}[kind]
    labels = [label(names, kind), label([generic], kind), PLAIN]
    for other in others:
        if not mentions(other, names) and not any(mentions(name, [other]) for name in names):
            labels.append(label(all_names(other, kind, (), book), kind))
    return list(dict.fromkeys(labels))


COUNTS = (4, 16, 64)
"""The numbers of distractors that a verdict is tried with."""

_WORDS = """apple bench bicycle bird boat book bottle bowl box bridge bucket building bus cake
camera candle carpet cat chair clock cloud cup curtain dog door drum egg fence fire flag flower fork
garden glass guitar hat horse key kite ladder lamp leaf letter mirror mountain paper pen piano
pillow plate river road rope shoe spoon stairs stone sun table tower train wall wheel window"""
DISTRACTORS = tuple(_WORDS.split())
"""Everyday words, of which a concept is set against the first few: a verdict that depends on their
number depends on the list of labels, and not on the picture alone."""
