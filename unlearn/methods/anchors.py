"""Anchors that a causal text encoder can reach.

A causal encoder reads "our friend otto" from the left: at "our friend" it cannot know who follows,
and other people's names begin with the same words. It encodes those words the same way in every
sentence, so a target that moves them would damage the other names. An anchor therefore keeps the
words of a name that another name begins with too. From there on it has its neutral word, in as many
tokens as the name: so the rest of the sentence keeps its position, and need not be moved, which
would be most of what there is to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from encoders import Concept
from unlearn.prompts import Caption, book_sentences, captions, names_of, phrases_of_others
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone


def anchor_phrase(
    phrase: str, neutral: str, others: Sequence[Sequence[str]], backbone: Backbone
) -> str:
    """Return the phrase that takes a name's place in the anchor.

    Args:
        phrase: A name as it stands in a sentence ("our friend otto"; ", in the style of dottie").
        neutral: A phrase without a particular meaning ("a person"); "" to leave the place empty.
        others: For every other concept of the kind, its names as they stand in sentences.
        backbone: Its tokenizer counts tokens.

    Returns:
        "our friend person"; ", in the style of".
    """
    words = phrase.split(" ")
    beginnings = list(accumulate(words, lambda one, other: f"{one} {other}"))[:-1]
    kept = ""
    for beginning in beginnings:
        if any(name.startswith(f"{beginning} ") for names in others for name in names):
            kept = beginning
    if not neutral:
        return kept
    last = neutral.split()[-1]
    anchor = kept.split() if kept else neutral.split()
    tokens = backbone.prompt_tokens(phrase)
    while len(anchor) > 1 and not kept and backbone.prompt_tokens(" ".join(anchor)) > tokens:
        anchor = anchor[1:]
    if kept:
        anchor.append(last)
    while backbone.prompt_tokens(" ".join([*anchor, last])) <= tokens:
        anchor.append(last)
    return " ".join(anchor)


def concept_captions(concept: Concept, task: UnlearnTask, backbone: Backbone) -> list[Caption]:
    """Return every caption of a concept, beside an anchor that a causal encoder can reach."""
    book, names = backbone.prompts, names_of(concept, backbone.prompts)
    return captions(
        concept.name,
        concept.kind,
        names[1:],
        neutral=task.settings.anchor,
        book=book,
        sentences=book_sentences(book, concept.kind, names),
        anchor_of=partial(
            anchor_phrase, others=phrases_of_others(concept, book), backbone=backbone
        ),
    )
