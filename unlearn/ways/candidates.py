"""Candidates: phrases that may draw a concept and have none of its names.

They are words of the model's vocabulary and of the concept's descriptions, and pairs and triples of
the best of these. They are ranked by how far the base reads the concept in them. With ē the mean of
a prompt's embeddings over the positions that the denoiser reads,

    s(c) = ⟨ē(c) − ē(a), d⟩ / ‖d‖²        d = ē(y) − ē(a)

y is a sentence with a name of the concept, a the same with the neutral phrase and c with the
candidate in the name's place (as `unlearn.methods.adversary.concept_shares`). Phrases of several
lengths have no common positions, so the embeddings are compared in the mean. d counts twice: as it
is, and without what other concepts of the kind share (`distinctive`). A general word like "woman"
is near in the first sense only, a detail in the second, so the best of both are taken in turn.

Words of other concepts' names and descriptions are left out, unless the concept's own have them. A
word that captions of other things contain could not be forgotten alone (`unlearn.ways.costs`), and
mostly is a place or a movement: few of these are tried, and none in pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import Concept
from unlearn.methods.adversary import concept_shares, distinctive
from unlearn.prompts import (
    GENERIC,
    mentions,
    names_of,
    phrase,
    phrases_of_others,
    retained_captions,
)
from unlearn.ways.sentences import sentences_with
from unlearn.ways.words import Steps, describing_words, whole_words

if TYPE_CHECKING:
    from encoders import Kind
    from video.models.backbone import Backbone
    from video.models.prompt_book import PromptBook

MOST_WORDS = 512
"""Words of a vocabulary that are looked at."""
DESCRIBING, FREE, SHARED = 12, 8, 8
"""Words of the concept's descriptions, and best words that no caption of other things contains,
that stand in pairs; best of the other words, which stand alone."""
EXTENDED = 24
"""Best pairs that become triples, by the words of descriptions."""
SENTENCES = 2
_AT_A_TIME = 32


@dataclass(frozen=True)
class _Sights:
    """The directions of a concept, and the neutral phrase's embeddings: (S,D) each."""

    neutral: Tensor
    whole: Tensor
    own: Tensor
    """The distinctive part."""


def candidate_steps(concept: Concept, backbone: Backbone, count: int) -> Iterator[list[str]]:
    """Find the `count` best candidates, best first; the last item is the result.

    It computes a little for each item, so that other work can have its turn between two.

    Args:
        concept: The concept that is looked for.
        backbone: Its base text encoder and its book.
        count: The most candidates.
    """
    book, names = backbone.prompts, names_of(concept, backbone.prompts)
    own = [phrase(name, concept.kind) for name in names]
    sights = _sights(concept, own, backbone)
    yield []
    words = yield from whole_words(backbone, names, MOST_WORDS)
    longest = backbone.capabilities.prompt_tokens // 2
    neutral = _neutral(concept.kind, book)

    def usable(found: Iterable[str]) -> list[str]:
        return [
            one
            for one in dict.fromkeys(found)
            if not mentions(one, names)
            and phrase(one, concept.kind) != neutral
            and backbone.prompt_tokens(one) <= longest
        ]

    described = describing_words(names, [concept.name])
    elsewhere = set(describing_words(_others(concept, book), described))
    describing = usable(described)[:DESCRIBING]
    single = usable(word for word in [*describing, *words] if word.lower() not in elsewhere)
    singles = yield from _ranked(single, concept.kind, sights, backbone)
    captions = " ".join(retained_captions(book, names)).lower()
    shared = set(re.findall(r"[\w-]+", captions)) - set(described)
    free = [word for word in singles if word.lower() not in shared]
    rest = [word for word in singles if word.lower() in shared][:SHARED]
    parts = dict.fromkeys([*describing, *neutral.split()[-1:], *free[: len(describing) + FREE]])
    joined = usable(f"{one} {other}" for one in parts for other in parts if one != other)
    pairs = yield from _ranked(joined, concept.kind, sights, backbone)
    longer = usable(
        f"{word} {pair}"
        for pair in pairs[:EXTENDED]
        for word in describing
        if word not in pair.split()
    )
    triples = yield from _ranked(longer, concept.kind, sights, backbone)
    alone = in_turn([[one for one in singles if one in described], rest, free])
    yield in_turn([alone, pairs, triples])[:count]


def _others(concept: Concept, book: PromptBook) -> list[str]:
    """Return the names and descriptions of every other concept of the book."""
    return [
        name
        for kind, labels in book.concepts.items()
        for label, more in labels.items()
        for name in (label, *more)
        if (label, kind) != (concept.name, concept.kind)
    ]


def in_turn(ranks: Sequence[Sequence[str]]) -> list[str]:
    """Return the first of each list, then the second of each, and so on, each phrase once."""
    rounds = zip_longest(*ranks)
    return list(dict.fromkeys(one for each in rounds for one in each if one is not None))


def _ranked(found: Sequence[str], kind: Kind, sights: _Sights, backbone: Backbone) -> Steps:
    """Sort phrases by both shares in turn, the best first."""
    whole, own = [torch.zeros(0)], [torch.zeros(0)]
    for start in range(0, len(found), _AT_A_TIME):
        some = [phrase(one, kind) for one in found[start : start + _AT_A_TIME]]
        moved = _means(some, kind, backbone) - sights.neutral
        whole.append(_shares(moved, sights.whole, sights.whole))
        own.append(_shares(moved, sights.own, sights.whole))
        yield []
    orders: list[list[int]] = [
        torch.cat(shares).argsort(descending=True).tolist() for shares in (whole, own)
    ]
    return in_turn([[found[i] for i in order] for order in orders])


def _shares(moved: Tensor, direction: Tensor, whole: Tensor) -> Tensor:
    """Return the mean share over the sentences: (N,S,D), (S,D), (S,D) → (N,)."""
    count = len(moved)
    scale = whole.square().mean(1).repeat(count)
    shares = concept_shares(
        moved.flatten(0, 1)[:, None], direction.repeat(count, 1)[:, None], scale
    )
    return shares.view(count, -1).mean(1)


def _sights(concept: Concept, own: Sequence[str], backbone: Backbone) -> _Sights:
    book, kind = backbone.prompts, concept.kind
    neutral = _means([_neutral(kind, book)], kind, backbone)[0]
    whole = _means(own, kind, backbone).mean(0) - neutral
    others = [_means(names, kind, backbone).mean(0) for names in phrases_of_others(concept, book)]
    away = [(other - neutral)[:, None] for other in others]
    return _Sights(neutral, whole, distinctive(whole[:, None], away)[:, 0])


@torch.no_grad()
def _means(phrases: Sequence[str], kind: Kind, backbone: Backbone) -> Tensor:
    """Return ē of each phrase in each sentence: (N,S,D) float32 on the CPU."""
    prompts = [p for one in phrases for p in sentences_with(one, kind, backbone.prompts, SENTENCES)]
    embedded = backbone.text_encoder.encode(backbone.tokenize(prompts)).float().cpu()
    read = (embedded != 0).any(2).sum(1, keepdim=True).clamp(min=1)
    return (embedded.sum(1) / read).view(len(phrases), SENTENCES, -1)


def _neutral(kind: Kind, book: PromptBook) -> str:
    return phrase({**GENERIC, **book.generic}[kind], kind)
