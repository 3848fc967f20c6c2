"""The token embeddings that closed-form edits of the cross-attention move or keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from benchmarks.forgetting.baselines.phrase import phrase
from encoders import Kind
from unlearn.prompts import GENERIC, all_names, mentions
from video.models.backbone import Backbone
from video.models.prompt_book import PromptBook


@dataclass(frozen=True)
class EditedTokens:
    """Input of an edit: one embedding for each name, that of its phrase's last token."""

    edited: Tensor
    """Every name of the concepts that are forgotten, (E,D)."""
    destination: Tensor
    """Destination of each edited name, (E,D): the kind's generic word; for a style or a motion,
    the empty prompt."""
    preserved: Tensor
    """Every name of the book's other concepts, (P,D)."""


def edited_tokens(backbone: Backbone, concepts: Sequence[tuple[str, Kind]]) -> EditedTokens:
    """Return the tokens of an edit that forgets the concepts, given as (name, kind)."""
    book = backbone.prompts
    generic = {**GENERIC, **book.generic}
    names: list[tuple[str, Kind]] = [
        (name, kind) for one, kind in concepts for name in all_names(one, kind, (), book)
    ]
    return EditedTokens(
        last_tokens(backbone, [phrase(name, kind) for name, kind in names]),
        last_tokens(backbone, [generic[kind] for _, kind in names]),
        last_tokens(backbone, _others([name for name, _ in names], book)),
    )


def last_tokens(backbone: Backbone, phrases: Sequence[str]) -> Tensor:
    """Return the embedding of each phrase's last token before the end token, (N,D).

    The public implementations of UCE (since 2024) and of SPEED do so: in a causal text encoder that
    token has attended to the whole phrase, so that concepts of different lengths can be aligned. An
    empty phrase gives the start token, which is the same in every prompt.
    """
    embeddings = backbone.text_encoder.encode(backbone.tokenize(phrases))
    last = [backbone.prompt_tokens(phrase) - 2 for phrase in phrases]
    return embeddings[range(len(phrases)), last]


def _others(names: Sequence[str], book: PromptBook) -> list[str]:
    """Return every name of the book's concepts, except those that mention one of `names`."""
    phrases = [
        phrase(name, kind)
        for kind, concepts in book.concepts.items()
        for concept, synonyms in concepts.items()
        for name in (concept, *synonyms)
    ]
    return [other for other in phrases if not mentions(other, names)]
