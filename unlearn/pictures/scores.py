"""Scores of phrases for pictures: the frozen denoiser as a zero-shot classifier.

A phrase that says what a picture shows helps the denoiser to take noise away from it (Li et al.
2023, arXiv 2303.16203). Its *gain* is how much better it does with the phrase than with the empty
prompt, for the same noise and time:

    g(p) = ‖ε_θ(x_t, τ₀(∅)) − target‖² − ‖ε_θ(x_t, τ₀(p)) − target‖²

The mean is over pictures, times and noises. Early and late times say little, so those in the middle
are taken. On the built-in model nearly every phrase that a picture does not show makes it worse.
The search halves: all phrases get one noise of two pictures, and the best of them more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import Kind
from unlearn.methods.objectives import Noised, noised_at
from unlearn.prompts import phrase
from unlearn.ways.words import whole_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from video.models.backbone import Backbone
    from video.models.prompt_book import PromptBook

MOST_WORDS = 128
LATEST = 0.5
EARLIER = 0.3
"""Places on the noise schedule, as shares of it from the clean picture."""
SURE = 2.0
"""Standard errors by which a gain has to be above zero."""
_AT_A_TIME = 16


@dataclass(frozen=True)
class Round:
    """One round of the search: how many phrases are scored, and on what."""

    phrases: int | None
    """The best of the round before; None: all."""
    pictures: int
    times: tuple[float, ...]
    noises: int
    """Noises of each picture at each time."""


ROUNDS = (
    Round(None, 2, (LATEST,), 1),
    Round(24, 4, (EARLIER, LATEST), 1),
    Round(6, 8, (EARLIER, LATEST), 4),
)


@dataclass(frozen=True)
class Candidate:
    """A phrase that may say what pictures show."""

    phrase: str
    kind: Kind
    label: str | None
    """The concept of the book that it names; None for a word of the vocabulary."""

    @property
    def prompt(self) -> str:
        """The prompt that is scored: the phrase alone, for a style what is painted in it."""
        named = phrase(self.phrase, self.kind)
        return f"a picture{named}" if self.kind == "style" else named


@dataclass(frozen=True)
class Score:
    """The gain of a phrase, with the standard error of its mean over `n` pairs."""

    candidate: Candidate
    gain: float
    error: float
    n: int

    @property
    def is_sure(self) -> bool:
        """True if the gain is above zero by `SURE` standard errors."""
        return self.gain > SURE * self.error


def listed_candidates(book: PromptBook, kind: Kind | None) -> list[Candidate]:
    """Return the names and descriptions of the book's concepts, of one kind or of all.

    Motions are left out: a picture shows none.
    """
    return [
        Candidate(name, of_kind, label)
        for of_kind, labels in book.concepts.items()
        if of_kind != "motion" and kind in (None, of_kind)
        for label, more in labels.items()
        for name in (label, *more)
    ]


def score_steps(
    pictures: NDArray[np.uint8], backbone: Backbone, kind: Kind | None = None
) -> Iterator[list[Score]]:
    """Score phrases for pictures; the last item has the best, best first.

    The phrases are the book's (`listed_candidates`) and words of the vocabulary, which without a
    kind are taken for objects.

    Args:
        pictures: (N,H,W,3); the first eight are looked at.
        backbone: Its image twin scores.
        kind: The only kind of concepts to look for; None: all but motions.
    """
    listed = listed_candidates(backbone.prompts, kind)
    near = [one.phrase for one in listed]
    words = yield from whole_words(backbone, near or [""], MOST_WORDS)
    candidates = [*listed, *(Candidate(w, kind or "object", None) for w in words if w not in near)]
    scores: list[Score] = []
    for number in ROUNDS:
        scorer, scores = _Scorer(pictures, number, backbone), []
        candidates = candidates[: number.phrases]
        for start in range(0, len(candidates), _AT_A_TIME):
            scores += scorer.scores(candidates[start : start + _AT_A_TIME])
            yield []
        scores.sort(key=lambda score: -score.gain)
        candidates = [score.candidate for score in scores]
    yield scores


class _Scorer:
    """Scores of one round by the image twin, on the same noises for every phrase."""

    @torch.no_grad()
    def __init__(self, pictures: NDArray[np.uint8], round: Round, backbone: Backbone) -> None:
        self._backbone = backbone
        self._denoiser = denoiser = backbone.denoiser(is_video=False)
        latents = denoiser.encode(pictures[: round.pictures])
        generator = torch.Generator("cpu").manual_seed(0)
        places = [int(share * len(denoiser.schedule.signal)) for share in round.times]
        self._noised = [
            noised_at(denoiser, latents, torch.full((len(latents),), place), generator)
            for place in places * round.noises
        ]
        empty = backbone.embed([""], is_video=False)
        self._losses_of_empty = [self._losses(x, empty) for x in self._noised]

    @torch.no_grad()
    def scores(self, candidates: Sequence[Candidate]) -> list[Score]:
        """Return the candidates' scores."""
        embeddings = self._backbone.embed([one.prompt for one in candidates], is_video=False)
        pairs = zip(self._losses_of_empty, self._noised, strict=True)
        gains = torch.cat([by_empty - self._losses(x, embeddings) for by_empty, x in pairs], 1)
        count = gains.shape[1]
        error = gains.std(1) / count**0.5 if count > 1 else gains.mean(1).abs()
        return [
            Score(one, float(gain), float(spread), count)
            for one, gain, spread in zip(candidates, gains.mean(1), error, strict=True)
        ]

    def _losses(self, x: Noised, embeddings: Tensor) -> Tensor:
        """Return the loss of each prompt on each picture: (P,L,D) → (P,N)."""
        prompts, pictures = len(embeddings), len(x.latents)
        predicted = self._denoiser.predict(
            x.latents.repeat(prompts, 1, 1, 1),
            x.timesteps.repeat(prompts),
            embeddings.repeat_interleave(pictures, 0),
        )
        wanted = x.target.repeat(prompts, 1, 1, 1)
        losses = (predicted.float() - wanted).square().mean((1, 2, 3))
        return losses.view(prompts, pictures)
