"""One input embedding, learned through the attacked encoder and the frozen denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.forgetting.attacks.attack import Target
from benchmarks.forgetting.attacks.loss import PicturesLoss
from benchmarks.forgetting.attacks.vocabulary import token_embedding, with_rows, words
from benchmarks.forgetting.intervention import Intervention, edited
from video.models.backbone import Backbone

COMPARED_DRAWS = 4
"""Noised copies of each picture in the batch on which two rows are compared."""


@dataclass(frozen=True)
class SoftBudget:
    """The training of a row: steps, images in a step, and learning rates.

    Every learning rate trains a row of its own, and falls to zero linearly.
    """

    steps: int
    batch: int
    learning_rates: tuple[float, ...] = (0.04,)
    bounded: bool = True
    """Keep the row no longer than the longest word's. A longer row can outweigh everything that the
    layers add, and passes any text encoder unchanged."""
    guidance: float | None = None
    """A number for PROBE's loss (`PicturesLoss`)."""


@dataclass(frozen=True)
class SoftToken:
    """The model with the learned row, and its loss on the pictures before and after."""

    model: Intervention
    loss_before: float
    loss_after: float


def learn(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    *,
    word: str,
    start: Tensor,
    captions: Sequence[str],
    budget: SoftBudget | None = None,
) -> SoftToken:
    """Learn v, the input embedding of `word`, such that the captions describe the images.

    Adam minimises L(v) (`PicturesLoss`); nothing else is trained. The best learning rate's row is
    kept.

    Args:
        backbone: the base model.
        intervention: the attacked change of the model.
        target: the images.
        word: a word of one token (`spare_words`).
        start: the initial v, (D,).
        captions: captions of the images, with `word` in them.
        budget: the training; None: `BUDGETS`.
    """
    budget = budget or BUDGETS[target.is_video]
    token = words(backbone)[word]
    longest = token_embedding(backbone, intervention).norm(dim=1).max()

    def model(row: Tensor) -> Intervention:
        return with_rows(backbone, intervention, [token], row[None])

    @torch.no_grad()
    def judged(row: Tensor) -> float:
        return loss.compared(captions, model(row)).item()

    with edited(backbone.denoiser(target.is_video).network, intervention.denoiser):
        loss = PicturesLoss(
            backbone, intervention, target, draws=COMPARED_DRAWS, guidance=budget.guidance
        )
        before = judged(start)
        found: list[tuple[float, Tensor]] = []
        for rate in budget.learning_rates:
            row = start.detach().clone().requires_grad_()
            adam = torch.optim.Adam([row])
            for step in range(budget.steps):
                adam.param_groups[0]["lr"] = rate * (1 - step / budget.steps)
                with torch.enable_grad():
                    drawn = loss.drawn(captions, model(row), budget.batch)
                    adam.zero_grad()
                    drawn.backward()
                adam.step()
                if budget.bounded:
                    with torch.no_grad():
                        row *= (longest / row.norm()).clamp(max=1)
            found.append((judged(row), row.detach()))
    after, best = min(found, key=lambda each: each[0])
    return SoftToken(model(best), before, after)


BUDGETS = {False: SoftBudget(steps=150, batch=6), True: SoftBudget(steps=80, batch=1)}
"""Default budgets: for stills (False) and for clips (True)."""
