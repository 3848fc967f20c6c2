"""A token search: ordinary words before a prompt, found by greedy search along the gradient.

Words are ranked to first order as in HotFlip (Ebrahimi et al., ACL 2018). The best ranked are then
tried, one position at a time. UnlearnDiffAtk (arXiv 2310.11868) searches discrete prompts on the
same loss.
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
"""Number of words before the prompt."""


@dataclass(frozen=True)
class SearchBudget:
    """The extent of a search."""

    passes: int
    """Passes over all the positions."""
    tried: int
    """Number of best-ranked words whose loss is computed at each position."""
    draws: int
    """Noised copies of each picture in the batch on which losses are compared."""


def token_search(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    budget: SearchBudget | None = None,
) -> Attack:
    """Find `LENGTH` words of the vocabulary to put before prompts that name the concept.

    The result is plain text, which passes through rewriting, tokenizer and encoder as usual.
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
        # Unused words are a neutral start. Later their rows take the values of the words found, so
        # that each position has a row, and a gradient, of its own.
        self._slots = spare_words(backbone, self._captions, LENGTH)
        self.found = self._slots

    def __iter__(self) -> Iterator[float]:
        best = self._try(self.found)
        yield best
        for _ in range(self._budget.passes):
            for position in range(LENGTH):
                for word in self._ranked(position)[: self._budget.tried]:
                    attempt = [*self.found[:position], word, *self.found[position + 1 :]]
                    loss = self._try(attempt)
                    if loss < best:
                        best, self.found = loss, attempt
                yield best

    @torch.no_grad()
    def _try(self, prefix: list[str]) -> float:
        captions = _before(prefix, self._captions)
        return self._loss.compared(captions, self._intervention).item()

    def _ranked(self, position: int) -> list[str]:
        """Return all words but the present one, by the first-order change of the loss.

        The change at this position is (e_w − e_now) · ∂L/∂e (HotFlip, eq. 10); lowest first.
        """
        matrix = token_embedding(self._backbone, self._intervention)
        rows = matrix[[self._words[word] for word in self.found]].requires_grad_()
        slots = [self._words[word] for word in self._slots]
        with torch.enable_grad():
            model = with_rows(self._backbone, self._intervention, slots, rows)
            loss = self._loss.compared(_before(self._slots, self._captions), model)
            (gradient,) = torch.autograd.grad(loss, rows)
        change: Tensor = matrix[list(self._words.values())] @ gradient[position]
        names = list(self._words)
        return [names[i] for i in change.argsort().tolist() if names[i] != self.found[position]]


def _before(prefix: list[str], prompts: list[str]) -> list[str]:
    return [f"{' '.join(prefix)} {prompt}" for prompt in prompts]


BUDGETS = {False: SearchBudget(2, 64, 2), True: SearchBudget(2, 16, 1)}
