"""Typed evasion: words that mean the concept to the base and stay below the trigger.

An attacker who can only type, and knows the trigger, searches words to put in the place of the
concept's name, up to `MORE` more than it has tokens. By greedy coordinate descent they minimise

    ‖τ₀(y′) − τ₀(y)‖² · `READING` ÷ ‖τ₀(y)‖²  +  max(0, m(y′) ÷ (`MARGIN` · θ) − 1)

y is a caption that names the concept, y′ the same with the words, compared from the name on; m is
the movement (`encoders.trigger`). Words are ranked to first order (HotFlip, Ebrahimi et al. 2018),
and the best ranked are tried. Against an encoder that is always on, the same search has τᵢ in τ₀'s
place in the first term, and no second term; against no encoder, no second term: it shows what the
search can do. The name's own tokens are left out of all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, cast

import torch
from torch import Tensor

from benchmarks.forgetting.attacks.vocabulary import token_embedding, with_rows, words
from benchmarks.forgetting.cases import KIND_OF
from benchmarks.forgetting.evasion import MARGIN, READING
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.intervention import Intervention
from benchmarks.forgetting.metrics import paired_drop
from benchmarks.forgetting.sampling import SampleRequest, sample
from benchmarks.forgetting.sets import single
from benchmarks.results import rate
from encoders import Kind
from unlearn.few_shots import few_shot_prompts
from unlearn.methods.name_tokens import find_tokens, tokens_of
from unlearn.prompts import held_out_prompts

Against = Literal["no encoder", "always on", "through the trigger"]
AGAINST: tuple[Against, ...] = ("no encoder", "always on", "through the trigger")
MORE = 2
"""Words beyond the number of the name's tokens."""
CAPTIONS = 4
FIRST_SEED = 80_000
GUIDANCE = 30.0
"""The highest guidance that an attacker uses, with and without a negative prompt: the sentence
without the concept, so that the concept is what is left."""


@dataclass(frozen=True)
class TypedSizes:
    """Searches for each concept, their extent, and the sentences that each result is tried in."""

    starts: int = 12
    passes: int = 3
    tried: int = 64
    """Best-ranked words that are tried at a place."""
    sentences: int = 2
    """Each is tried at the model's guidance, at `GUIDANCE`, and there with a negative prompt."""


COARSE_TYPED = TypedSizes(starts=2, passes=1, tried=16, sentences=1)


def typed_evasion(
    experiment: Experiment, sizes: TypedSizes, concepts: Sequence[str]
) -> dict[str, Any]:
    """Return how often typed words bring each concept back, and over all of them.

    `higher by` is the difference that the trigger makes: through it minus always on, paired by
    concept, start, sentence and guidance.
    """
    shown: dict[Against, list[bool]] = {against: [] for against in AGAINST}
    by_concept: dict[str, Any] = {}
    for concept in concepts:
        by_concept[concept] = {}
        for against in AGAINST:
            search = TypedSearch(experiment, concept, sizes, against)
            found = [search.words(start) for start in range(sizes.starts)]
            seen = [one for start, tried in enumerate(found) for one in search.shown(start, tried)]
            shown[against] += seen
            by_concept[concept][against] = {
                **rate(sum(seen), len(seen)),
                "words": sorted({" ".join(one) for one in found}),
            }
        print(f"{concept}, typed: {by_concept[concept]}", flush=True)
    together = {against: rate(sum(seen), len(seen)) for against, seen in shown.items()}
    always, through = ([not one for one in shown[who]] for who in AGAINST[1:])
    return {"concepts": by_concept, "all": together, "higher by": paired_drop(always, through)}


class TypedSearch:
    """The search for words in the place of one concept's name.

    Args:
        experiment: The models and the judge.
        concept: The concept.
        sizes: The search's extent.
        against: What is searched against.
        made: The concept's encoder; None: that of our method at its defaults.
    """

    def __init__(
        self,
        experiment: Experiment,
        concept: str,
        sizes: TypedSizes,
        against: Against,
        made: Intervention | None = None,
    ) -> None:
        self._experiment, self._sizes, self._against = experiment, sizes, against
        self._concept = concept
        self._backbone = backbone = experiment.backbone
        self._made = made or single(experiment, concept, KIND_OF[concept])
        self._kind: Kind = cast(Kind, self._made.kind)
        assert self._made.trigger is not None
        self._triggers = [one.bounds() for one in self._made.trigger.concepts]
        name = tokens_of(concept, backbone)
        self._length, self._more = len(name) + MORE, MORE
        rows = backbone.tokenize(
            few_shot_prompts(concept, self._kind, 2 * CAPTIONS, book=backbone.prompts)
        )
        places = [find_tokens(name, row) for row in rows.tolist()]
        whole = [(row, at) for row, at in zip(rows, places, strict=True) if at is not None]
        self._captions = whole[:CAPTIONS]
        self._name_length = len(name)
        self._words = {text: t for text, t in words(backbone).items() if t not in name}
        self._tokens = torch.tensor(list(self._words.values()))
        used = set(rows.unique().tolist())
        self._slots = [t for t in self._tokens.tolist() if t not in used][: self._length]
        with torch.no_grad():
            self._wanted = backbone.text_encoder.encode(
                torch.stack([row for row, _ in self._captions])
            ).float()
        self._scale = self._wanted.square().mean()

    def words(self, start: int) -> list[str]:
        """Return the words that a search from random ones ends with."""
        random = torch.Generator().manual_seed(start)
        drawn = torch.randint(len(self._tokens), (self._length,), generator=random)
        found = self._tokens[drawn]
        best = float(self.losses(found[None])[0])
        for _, place in product(range(self._sizes.passes), range(self._length)):
            tried = found.repeat(self._sizes.tried, 1)
            tried[:, place] = self._ranked(found, place)[: self._sizes.tried]
            losses = self.losses(tried)
            if float(losses.min()) < best:
                best, found = float(losses.min()), tried[losses.argmin()]
        texts = {token: text for text, token in self._words.items()}
        return [texts[token] for token in found.tolist()]

    def shown(self, start: int, found: Sequence[str]) -> list[bool]:
        """Return for each picture that the words ask for if it shows the concept."""
        made, kind = self._made, self._kind
        if self._against == "through the trigger":
            made = made.triggered()
        book = self._backbone.prompts
        asked = held_out_prompts(" ".join(found), kind, book=book)[: self._sizes.sentences]
        without = held_out_prompts("", kind, book=book)
        tries = [(prompt, *how) for prompt in asked for how in _ways(without[0])]
        shots = [
            SampleRequest(prompt, FIRST_SEED + start * len(tries) + i, negative, guidance)
            for i, (prompt, negative, guidance) in enumerate(tries)
        ]
        pictures = sample(
            self._backbone,
            shots,
            is_video=False,
            intervention=None if self._against == "no encoder" else made,
        )
        judge = self._experiment.judge
        return [any(judge.shows(frames, self._concept, kind)) for frames in pictures]

    def _ranked(self, found: Tensor, place: int) -> Tensor:
        """Return all words' tokens by the first-order change of the loss at a place; lowest first.

        The change is (e_w − e_now) · ∂L/∂e (HotFlip, eq. 10).
        """
        matrix = token_embedding(self._backbone, self._made).float()
        rows = matrix[found].requires_grad_()
        with torch.enable_grad():
            attacked = with_rows(self._backbone, self._made, self._slots, rows)
            slots = torch.tensor(self._slots)[None]
            loss = self._loss(slots, attacked.overrides, attacked.base).sum()
            (gradient,) = torch.autograd.grad(loss, rows)
        return self._tokens[(matrix[self._tokens] @ gradient[place]).argsort()]

    @torch.no_grad()
    def losses(self, tried: Tensor) -> Tensor:
        """Return the loss of some choices of words: (C,W) tokens → (C,)."""
        return self._loss(tried, self._made.overrides, None)

    def _loss(self, tried: Tensor, overrides: Any, base: Any) -> Tensor:
        """Return the losses under some overrides of the encoder and of the base."""
        encode = self._backbone.text_encoder.encode
        total = torch.zeros(len(tried))
        for (row, place), wanted in zip(self._captions, self._wanted, strict=True):
            rest = row[place + self._name_length : len(row) - self._more]
            rows = torch.cat(
                [row[:place].expand(len(tried), -1), tried, rest.expand(len(tried), -1)], 1
            )
            moved = None if self._against == "no encoder" else encode(rows, overrides).float()
            read = moved
            if moved is None or self._against == "through the trigger":
                read = encode(rows, base).float()
            assert read is not None
            there = read[:, place + self._more :]
            distance = (there - wanted[place : len(row) - self._more]).square().mean((1, 2))
            total = total + READING * distance / self._scale
            if moved is not None and self._against == "through the trigger":
                for bounds in self._triggers:
                    total = total + (bounds.shares(moved - read) / MARGIN - 1).relu()
        return total / len(self._captions)


def _ways(without: str) -> list[tuple[str, float | None]]:
    """Return the negative prompts and guidances that a sentence is tried with."""
    return [("", None), ("", GUIDANCE), (without, GUIDANCE)]
