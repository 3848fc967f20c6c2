"""Cases: the prompts and seeds that every method is measured on.

Prompts are composed from the built-in world's vocabulary. Sentences that the optimisation trains on
are left out. Any prefix of a list is a fair sample of the whole, so a run can stop early.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn.functional import cosine_similarity

from encoders import Concept, Kind
from starter.captions import (
    FORMS,
    HELD_OUT_FORMS,
    HELD_OUT_WORDS,
    MOTION_WORDS,
    PLACE_WORDS,
    STYLE_WORDS,
    SUBJECT_WORDS,
    compose,
)
from starter.motions import MOTIONS
from starter.scene import SUBJECTS
from unlearn.prompts import all_names, mentions, trained_prompts
from video.models.backbone import Backbone
from video.models.prompt_book import PromptBook

Group = Literal["target", "wording", "same kind", "other kinds", "neighbours"]
"""Prompts that name the concept (`target`), that describe it in words held out of all training
(`wording`), that name other concepts of its kind or of other kinds, or that name the concepts of
its kind whose names embed nearest to it (`neighbours`)."""

CONCEPTS: dict[Kind, tuple[str, ...]] = {
    "object": ("balloon", "house", "teapot"),
    "character": ("pogo", "zumi", "tamu"),
    "person": ("mira", "otto", "lena"),
    "style": ("dottie", "neonix", "aquarine"),
    "motion": ("bouncing", "spinning", "growing"),
}
KIND_OF: dict[str, Kind] = {name: kind for kind, names in CONCEPTS.items() for name in names}
NEIGHBOURS = 2
_WORDS = {**SUBJECT_WORDS, **STYLE_WORDS, **MOTION_WORDS}


@dataclass(frozen=True)
class Case:
    """A prompt and a seed, and the concept that the judge looks for in the picture."""

    prompt: str
    seed: int
    concept: str
    kind: Kind
    is_video: bool


def target_cases(concept: str, kind: Kind, book: PromptBook, *, is_video: bool) -> Iterator[Case]:
    """Return endless cases whose prompts name the concept in one of its usual wordings."""
    trained = trained_prompts(Concept(name=concept, kind=kind), book)
    return _cases(concept, kind, _WORDS[concept], FORMS, is_video, "target", unseen=trained)


def wording_cases(concept: str, kind: Kind, book: PromptBook, *, is_video: bool) -> Iterator[Case]:
    """Return endless cases whose prompts describe the concept in words held out of all training.

    Motions have no such cases: training uses all the words that the world's language has for them.
    """
    words = HELD_OUT_WORDS.get(concept, ())
    trained = trained_prompts(Concept(name=concept, kind=kind), book)
    forms = (*FORMS, *HELD_OUT_FORMS)
    if not words:
        return iter(())
    return _cases(concept, kind, words, forms, is_video, "wording", unseen=trained)


def kept_cases(
    concept: str, kind: Kind, group: Group, backbone: Backbone, *, is_video: bool
) -> Iterator[Case]:
    """Return endless cases that name other concepts in turn, and mention no name of this one."""
    book = backbone.prompts
    names = all_names(concept, kind, (), book)
    if group == "neighbours":
        near = nearest(concept, kind, backbone)[:NEIGHBOURS]
        others: list[tuple[str, Kind]] = [(name, kind) for name in near]
    else:
        others = [
            (other, its_kind)
            for its_kind, labels in book.concepts.items()
            for other in labels
            if other != concept
            and (its_kind == kind) == (group == "same kind")
            and (is_video or its_kind != "motion")
        ]
        order = np.random.default_rng(_seed(concept, group)).permutation(len(others))
        others = [others[i] for i in order]
    each = [
        _cases(other, its_kind, _WORDS[other], FORMS, is_video, group, unnamed=names)
        for other, its_kind in others
    ]
    return (next(one) for one in cycle(each)) if each else iter(())


def nearest(concept: str, kind: Kind, backbone: Backbone) -> list[str]:
    """Return the kind's other concepts, ordered by the cosine similarity of their embeddings."""
    book = backbone.prompts

    def meaning(name: str) -> Tensor:
        phrases = [compose("{s}", word) for word in _WORDS[name]]
        embedded = backbone.text_encoder.encode(backbone.tokenize(phrases))
        return embedded.mean(dim=(0, 1))

    mine = meaning(concept)
    likeness = {
        other: float(cosine_similarity(mine, meaning(other), dim=0))
        for other in book.concepts[kind]
        if other != concept
    }
    return sorted(likeness, key=lambda other: -likeness[other])


def first(cases: Iterator[Case], count: int) -> list[Case]:
    """Return the first `count` cases."""
    return list(islice(cases, count))


def _cases(
    concept: str,
    kind: Kind,
    words: Sequence[str],
    forms: Sequence[str],
    is_video: bool,
    group: str,
    *,
    unseen: Collection[str] = (),
    unnamed: Sequence[str] = (),
) -> Iterator[Case]:
    """Yield cases that ask for the concept in one of `words`, without end.

    Args:
        unseen: sentences that are left out.
        unnamed: names; sentences that mention one are left out.
    """
    rng = np.random.default_rng(_seed(concept, group))
    seed = 10_000
    while True:
        prompt = _prompt(kind, str(rng.choice(words)), forms, rng)
        if prompt not in unseen and not mentions(prompt, unnamed):
            seed += 1
            yield Case(prompt, seed, concept, kind, is_video or kind == "motion")


def _prompt(kind: Kind, words: str, forms: Sequence[str], rng: np.random.Generator) -> str:
    subject = words
    motion = place = artist = ""
    if kind in ("style", "motion"):
        subject = str(rng.choice(SUBJECT_WORDS[str(rng.choice(SUBJECTS))][:2]))
    if kind == "motion":
        motion = words
    elif rng.random() < 0.5:
        motion = MOTION_WORDS[str(rng.choice(MOTIONS))][0]
    if kind == "style":
        artist = words
    if rng.random() < 0.8:
        place = str(rng.choice(PLACE_WORDS[str(rng.choice(list(PLACE_WORDS)))]))
    return compose(str(rng.choice(forms)), subject, motion, place, artist)


def _seed(*parts: str) -> int:
    return zlib.crc32(" ".join(parts).encode())
