"""Anchors that a causal text encoder can reach.

A causal encoder reads "our friend otto" from the left: at "our friend" it cannot know who follows,
and other people's names begin with the same words. It encodes those words the same way in every
sentence, so a target that moves them moves them for the other names too. Only the words after them
can get the neutral sentence's embeddings at no one's cost (`unlearn.methods.anchor_rows`).

A neutral sentence has its neutral word in as many tokens as the name. So the rest of the sentence
keeps its position, and need not be moved, which would be most of what there is to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from encoders import Concept
from unlearn.prompts import (
    GENERIC,
    Caption,
    book_sentences,
    captions,
    names_of,
    phrase,
    phrases_of_others,
)
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone


def beginning_of(phrase: str, others: Sequence[Sequence[str]]) -> str:
    """Return the longest beginning of a phrase that another concept's name begins with too.

    Args:
        phrase: A name as it stands in a sentence ("our friend otto").
        others: For every other concept of the kind, its names as they stand in sentences.

    Returns:
        Whole words ("our friend"); "" if there are none. The last word is never part of it.
    """
    beginnings = list(accumulate(phrase.split(" "), lambda one, other: f"{one} {other}"))[:-1]
    shared = [
        beginning
        for beginning in beginnings
        if any(name.startswith(f"{beginning} ") for names in others for name in names)
    ]
    return shared[-1] if shared else ""


def anchor_phrase(phrase: str, neutral: str, beginning: str, backbone: Backbone) -> str:
    """Return the phrase that takes a name's place in the anchor, in as many tokens.

    Args:
        phrase: A name as it stands in a sentence ("our friend otto"; ", in the style of dottie").
        neutral: A phrase without a particular meaning ("a person"); "" to leave the place empty.
        beginning: Words of the name that are kept ("our friend", ", in the style of"); "" for none.
        backbone: Its tokenizer counts tokens.

    Returns:
        "our friend person"; ", in the style of"; without a beginning "a person person"; "".
    """
    if not neutral:
        return beginning
    last = neutral.split()[-1]
    anchor = beginning.split() if beginning else neutral.split()
    tokens = backbone.prompt_tokens(phrase)
    while len(anchor) > 1 and not beginning and backbone.prompt_tokens(" ".join(anchor)) > tokens:
        anchor = anchor[1:]
    if beginning:
        anchor.append(last)
    while backbone.prompt_tokens(" ".join([*anchor, last])) <= tokens:
        anchor.append(last)
    return " ".join(anchor)


def neutral_of(concept: Concept, task: UnlearnTask, backbone: Backbone) -> str:
    """Return the neutral phrase in a concept's place: the settings', the book's, or the kind's."""
    asked = task.settings.anchor
    generic = {**GENERIC, **backbone.prompts.generic}[concept.kind]
    return phrase(generic if asked is None else asked, concept.kind)


def concept_captions(concept: Concept, task: UnlearnTask, backbone: Backbone) -> list[Caption]:
    """Return every caption of a concept, beside a sentence with neutral words in its place.

    Without neutral words (styles and motions) the name's beginning stays, for the reason that the
    module's docstring has.
    """
    book, names = backbone.prompts, names_of(concept, backbone.prompts)
    others = phrases_of_others(concept, book)

    def anchor_of(named: str, neutral: str) -> str:
        return anchor_phrase(
            named, neutral, "" if neutral else beginning_of(named, others), backbone
        )

    return captions(
        concept.name,
        concept.kind,
        names[1:],
        neutral=task.settings.anchor,
        book=book,
        sentences=book_sentences(book, concept.kind, names),
        anchor_of=anchor_of,
    )
