"""PROBE: a new word, learned from clips through the video model, under guidance.

Xie, Zhang and Liu 2026, arXiv 2603.21547. It differs from the pseudo-token in three ways: the
pictures are clips, the prediction is the guided one that sampling uses, and the loss also compares
the predicted clean latents, which hold a clip's layout in space and time (`guided_loss`). Its
success is looked at frame by frame too: a concept may come back in the later frames only.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from benchmarks.forgetting.attacks.attack import Attack, Target
from benchmarks.forgetting.attacks.pseudo_token import pseudo_token
from benchmarks.forgetting.attacks.soft_token import BUDGETS, SoftBudget
from benchmarks.forgetting.intervention import Intervention
from video.models.backbone import Backbone


def probe(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    budget: SoftBudget | None = None,
) -> Attack:
    """Learn the input embedding of an unused word S* with PROBE's loss.

    The word is no longer than the longest word, as in the other attacks.
    """
    began = perf_counter()
    guided = replace(
        budget or BUDGETS[target.is_video], guidance=backbone.capabilities.guidance_default
    )
    found = pseudo_token(backbone, intervention, target, guided)
    return replace(found, name="PROBE", seconds=perf_counter() - began)
