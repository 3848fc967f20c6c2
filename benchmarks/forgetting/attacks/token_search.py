"""Ordinary words put before a prompt, found by greedy search along the gradient.

HotFlip's first-order ranking (Ebrahimi et al., ACL 2018), the best ranked then tried for real, a
position at a time; UnlearnDiffAtk (arXiv 2310.11868) looks for its discrete prompts on this loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.forgetting.attacks.attack import Attack, Target, captions_of, prompts_for
from benchmarks.forgetting.attacks.loss import PicturesLoss
from benchmarks.forgetting.attacks.vocabulary import spare_words, token_embedding, with_rows, words
from benchmarks.forgetting.intervention import Intervention, edited
from video.models.backbone import Backbone

LENGTH = 3
"""Words put before the prompt."""


@dataclass(frozen=True)
class SearchBudget:
    """How far a search goes."""

    passes: int
    """Over all the positions."""
    tried: int
    """Words whose loss is computed at a position, of all that the gradient ranks."""
    draws: int
    """Noised copies of each picture in the batch on which losses are compared."""


def token_search(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    budget: SearchBudget | None = None,
) -> Attack:
    """Three words of the vocabulary before prompts that name the concept: plain text, which goes
    through tokenizer, rewriting and encoder like anybody's.
    """
    began = perf_counter()
    search = _Search(backbone, intervention, target, budget or BUDGETS[target.is_video])
    with edited(backbone.denoiser(target.is_video).network, intervention.denoiser):
        losses = list(search)
    prompts = prompts_for(target, target.names, backbone)
    return Attack(
        "token search",
        tuple(_before(search.found, prompts)),
        intervention,
        losses[0],
        losses[-1],
        perf_counter() - began,
    )


class _Search:
    """Coordinate descent over the words: the loss at first and after every position."""

    def __init__(
        self, backbone: Backbone, intervention: Intervention, target: Target, budget: SearchBudget
    ) -> None:
        self._backbone = backbone
        self._intervention = intervention
        self._budget = budget
        self._loss = PicturesLoss(backbone, intervention, target, draws=budget.draws)
        self._captions = captions_of(target, target.names, backbone)
        self._words = words(backbone)
        # Words that nobody uses are a start that says nothing. Later their rows stand in for those
        # of the words found, so that each position has a gradient of its own.
        self._slots = spare_words(backbone, self._captions, LENGTH)
        self.found = self._slots

    def __iter__(self) -> Iterator[float]:
        best = self._try(self.found)
        yield best
        for _ in range(self._budget.passes):
            for place in range(LENGTH):
                for word in self._ranked(place)[: self._budget.tried]:
                    attempt = [*self.found[:place], word, *self.found[place + 1 :]]
                    loss = self._try(attempt)
                    if loss < best:
                        best, self.found = loss, attempt
                yield best

    @torch.no_grad()
    def _try(self, prefix: list[str]) -> float:
        captions = _before(prefix, self._captions)
        return self._loss.compared(captions, self._intervention.overrides).item()

    def _ranked(self, place: int) -> list[str]:
        """All the words, by how far they would lower the loss at this position to first order:
        (e_w − e_now) · ∂L/∂e (HotFlip, eq. 10).
        """
        matrix = token_embedding(self._backbone, self._intervention)
        rows = matrix[[self._words[word] for word in self.found]].requires_grad_()
        slots = [self._words[word] for word in self._slots]
        with torch.enable_grad():
            overrides = with_rows(self._backbone, self._intervention, slots, rows)
            loss = self._loss.compared(_before(self._slots, self._captions), overrides)
            (gradient,) = torch.autograd.grad(loss, rows)
        change: Tensor = matrix[list(self._words.values())] @ gradient[place]
        names = list(self._words)
        return [names[i] for i in change.argsort().tolist() if names[i] != self.found[place]]


def _before(prefix: list[str], prompts: list[str]) -> list[str]:
    return [f"{' '.join(prefix)} {prompt}" for prompt in prompts]


BUDGETS = {False: SearchBudget(2, 64, 2), True: SearchBudget(2, 16, 1)}
