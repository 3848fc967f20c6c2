"""Anchor embeddings: what a concept's captions are to mean, position by position.

Let y be a caption, n the same sentence with neutral words in the name's place, and b the beginning
of the name that another concept's name has too (`unlearn.methods.anchors.beginning_of`). A causal
encoder's target is

    A(y)_t = τ₀(y)_t + w_t (τ₀(n)_t − τ₀(y)_t),    w_t = 0 before the name, α in b, 1 after b.

A beginning can carry a concept alone: the base draws a particular person for "a woman in a". With
α = 0 the denoiser would read her there, whatever the rest of the sentence says. So the beginning
moves by α, the share of the listed concepts' meaning that it carries, and retained captions that
have it are to move with it: their other words, which say whom they show, stay. An encoder that
reads both ways tells sentences apart at every word, so w_t = 1 everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import Concept
from unlearn.methods.anchors import anchor_phrase, beginning_of, concept_captions, neutral_of
from unlearn.methods.name_tokens import find_tokens, tokens_of
from unlearn.prompts import Caption, fill, names_of, phrase, phrases_of_others, prompt_templates
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from encoders.text_encoder import TextEncoder
    from video.models.backbone import Backbone

MOST_SHARE = 0.15
"""ρ, the share of a concept's meaning that a beginning may go on carrying."""


@dataclass(frozen=True)
class Beginning:
    """Words with which names of several concepts begin."""

    tokens: tuple[int, ...]
    neutral: tuple[int, ...]
    """As many tokens of neutral words."""
    share: float
    """α, 0 to 1."""

    def moved(self, rows: Tensor, embeddings: Tensor, encoder: TextEncoder) -> Tensor:
        """Return the captions' targets, with this beginning moved in those that have it.

        Args:
            rows: Token ids of the captions, (B,L).
            embeddings: Targets of the captions so far, (B,L,D).
            encoder: The base.
        """
        if not self.share:
            return embeddings
        places = [find_tokens(self.tokens, row) for row in rows.tolist()]
        having = [i for i, place in enumerate(places) if place is not None]
        if not having:
            return embeddings
        neutral = rows[having].clone()
        weights = torch.zeros(len(having), rows.shape[1], 1)
        for row, weight, i in zip(neutral, weights, having, strict=True):
            span = slice(places[i], (places[i] or 0) + len(self.tokens))
            row[span] = torch.tensor(self.neutral)
            weight[span] = self.share
        found = embeddings.clone()
        by_words = encoder.encode(rows[having])
        change = encoder.encode(neutral) - by_words
        found[having] += weights.to(change) * change
        return found


@dataclass(frozen=True)
class AnchorRows:
    """Captions as tokens, and the weights of their neutral sentences."""

    prompts: Tensor
    """Token ids of y, (B,L)."""
    neutral: Tensor
    """Token ids of n, (B,L)."""
    weights: Tensor
    """w, (B,L,1)."""

    def __getitem__(self, chosen: Sequence[int]) -> AnchorRows:
        """Return some of the captions."""
        index = list(chosen)
        return AnchorRows(self.prompts[index], self.neutral[index], self.weights[index])

    def cut(self, length: int | None) -> AnchorRows:
        """Return the captions' first `length` tokens; None: all."""
        parts = (self.prompts, self.neutral, self.weights)
        return AnchorRows(*(part[:, :length] for part in parts))

    def after(self, tokens: Tensor, place: int) -> AnchorRows:
        """Return the captions with a token each, (B,1), before their word at a place."""

        def inserted(rows: Tensor, new: Tensor) -> Tensor:
            return torch.cat([rows[:, :place], new, rows[:, place:-1]], 1)

        weight = self.weights[:, place : place + 1]
        return AnchorRows(
            inserted(self.prompts, tokens.to(self.prompts)),
            inserted(self.neutral, tokens.to(self.neutral)),
            inserted(self.weights, weight),
        )

    def encode(self, encoder: TextEncoder) -> tuple[Tensor, Tensor]:
        """Return τ₀(y) and A(y), (B,L,D) each."""
        named, neutral = encoder.encode(torch.cat([self.prompts, self.neutral])).chunk(2)
        return named, torch.where(
            self.weights == 1, neutral, named + self.weights.to(named) * (neutral - named)
        )


class Anchors:
    """A concept's captions and their anchor embeddings.

    Args:
        concept: The concept.
        task: Its settings may name the neutral phrase.
        backbone: Its text encoder is the base.
    """

    def __init__(self, concept: Concept, task: UnlearnTask, backbone: Backbone) -> None:
        self.captions = concept_captions(concept, task, backbone)
        self._backbone = backbone
        self.is_causal = is_causal(backbone)
        self._neutral = neutral_of(concept, task, backbone)
        self._concept = concept
        self._others = phrases_of_others(concept, backbone.prompts)

    @cached_property
    def beginnings(self) -> dict[str, Beginning]:
        """The beginnings of the concept's names that other names have too, by the concept's name.

        None for an encoder that reads both ways, and where nothing takes the name's place.
        """
        if not self.is_causal or not self._neutral:
            return {}
        found: dict[str, Beginning] = {}
        for name in names_of(self._concept, self._backbone.prompts):
            named = phrase(name, self._concept.kind)
            if words := beginning_of(named, self._others):
                found[name] = self._beginning(words, named)
        return found

    def rows(self, captions: Sequence[Caption]) -> AnchorRows:
        """Return captions of the concept as tokens."""
        prompts = self._backbone.tokenize([caption.prompt for caption in captions])
        neutral = self._backbone.tokenize([caption.anchor for caption in captions])
        weights = torch.ones(*prompts.shape, 1, device=prompts.device)
        for i, caption in enumerate(captions):
            beginning = self.beginnings.get(caption.name)
            place = beginning and find_tokens(beginning.tokens, prompts[i].tolist())
            if beginning and place is not None:
                weights[i, :place] = 0
                weights[i, place : place + len(beginning.tokens)] = beginning.share
        return AnchorRows(prompts, neutral, weights)

    @torch.no_grad()
    def encode(self, captions: Sequence[Caption]) -> Tensor:
        """Return A(y) of some captions of the concept, (B,L,D)."""
        return self.rows(captions).encode(self._backbone.text_encoder)[1]

    def _beginning(self, words: str, named: str) -> Beginning:
        neutral = anchor_phrase(words, self._neutral, "", self._backbone)
        tokens, instead = (tuple(tokens_of(each, self._backbone)) for each in (words, neutral))
        if len(tokens) != len(instead):
            return Beginning(tokens, tokens, 0.0)
        share = self._share(words, named)
        return Beginning(tokens, instead, max(0.0, 1 - MOST_SHARE / share) if share else 0.0)

    @torch.no_grad()
    def _share(self, words: str, named: str) -> float:
        """Return the largest share of a listed concept's meaning that a beginning carries, 0 to 1.

        It is max_o ⟨x, d_o⟩ / ‖d_o‖², with x = τ₀(b, then neutral words) − τ₀(neutral words) and
        d_o = τ₀(o) − τ₀(neutral words), each the mean over positions and sentences: names differ in
        length, so that their positions do not correspond. o is any concept of the kind.
        """
        phrases = [
            anchor_phrase(named, self._neutral, "", self._backbone),
            anchor_phrase(named, self._neutral, words, self._backbone),
            phrase(self._concept.name, self._concept.kind),
            *(others[0] for others in self._others),
        ]
        sentences = prompt_templates(self._concept.kind)
        means: list[Tensor] = []
        for each in phrases:
            prompts = [fill(sentence, "", each) for sentence in sentences]
            embedded = self._backbone.text_encoder.encode(self._backbone.tokenize(prompts))
            means.append(embedded.float().mean((0, 1)))
        neutral, begun, *meant = means
        x, d = begun - neutral, torch.stack(meant) - neutral
        shares = (d @ x) / d.square().sum(1).clamp(min=1e-12)
        return float(shares.max().clamp(0, 1))


@torch.no_grad()
def is_causal(backbone: Backbone) -> bool:
    """Return True if a word's embedding does not depend on the words after it."""
    first, other = backbone.text_encoder.encode(backbone.tokenize(["a a", "a a a a"])).float()
    length = backbone.prompt_tokens("a a") - 1  # without the end, where it has one
    return torch.allclose(first[:length], other[:length], atol=1e-4)
