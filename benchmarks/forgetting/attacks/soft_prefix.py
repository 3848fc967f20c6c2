"""A soft prefix: a free input embedding before the prompt's words.

The attack of Zhang et al. (UnlearnDiffAtk, arXiv 2310.11868) and Zhang et al. (AdvUnlearn, arXiv
2405.15234). Here one prefix serves all prompts that name the concept.
"""

from __future__ import annotations

from time import perf_counter

from benchmarks.forgetting.attacks.attack import Attack, Target, captions_of, prompts_for
from benchmarks.forgetting.attacks.soft_token import SoftBudget, learn
from benchmarks.forgetting.attacks.vocabulary import spare_words, token_embedding, words
from benchmarks.forgetting.intervention import Intervention
from video.models.backbone import Backbone


def soft_prefix(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    budget: SoftBudget | None = None,
) -> Attack:
    """Learn one input embedding between the start token and prompts that name the concept.

    It replaces the row of an unused word, and starts from that row.
    """
    began = perf_counter()
    captions = captions_of(target, target.names, backbone)
    prompts = prompts_for(target, target.names, backbone)
    (word,) = spare_words(backbone, [*captions, *prompts], 1)
    learned = learn(
        backbone,
        intervention,
        target,
        word=word,
        start=token_embedding(backbone, intervention)[words(backbone)[word]],
        captions=[f"{word} {caption}" for caption in captions],
        budget=budget,
    )
    return Attack(
        "soft prefix",
        tuple(f"{word} {prompt}" for prompt in prompts),
        learned.model,
        learned.loss_before,
        learned.loss_after,
        perf_counter() - began,
    )
