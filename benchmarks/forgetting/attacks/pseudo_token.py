"""A new word for the concept, learned from its pictures.

Textual Inversion (Gal et al., arXiv 2208.01618) through the unlearned model: the concept inversion
of Pham et al. (arXiv 2308.01508). No prompt names the concept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter

from benchmarks.forgetting.attacks.attack import Attack, Target, captions_of, prompts_for
from benchmarks.forgetting.attacks.soft_token import BUDGETS, SoftBudget, learn
from benchmarks.forgetting.attacks.vocabulary import spare_words, token_embedding
from benchmarks.forgetting.intervention import Intervention
from encoders import Kind
from video.models.backbone import Backbone

GENERIC_WORDS: Mapping[Kind, str] = {
    "object": "thing",
    "character": "creature",
    "person": "person",
    "style": "style",
    "motion": "moving",
}
"""The word whose embedding the new word starts from."""


def pseudo_token(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    budget: SoftBudget | None = None,
) -> Attack:
    """Learn the input embedding of an unused word S*, from captions like "a picture of S*"."""
    began = perf_counter()
    named = [*captions_of(target, target.names, backbone)]
    (word,) = spare_words(backbone, named, 1)
    generic = GENERIC_WORDS[target.kind]
    pieces = backbone.tokenize([generic])[0, 1 : backbone.prompt_tokens(generic) - 1]
    learned = learn(
        backbone,
        intervention,
        target,
        word=word,
        start=token_embedding(backbone, intervention)[pieces].mean(0),
        captions=captions_of(target, [word], backbone),
        budget=budget,
    )
    return Attack(
        "pseudo-token",
        tuple(prompts_for(target, [word], backbone)),
        learned.model,
        learned.loss_before,
        learned.loss_after,
        perf_counter() - began,
    )


def unbounded_token(
    backbone: Backbone,
    intervention: Intervention,
    target: Target,
    budget: SoftBudget | None = None,
) -> Attack:
    """Learn an embedding of any length, as in the papers.

    A text encoder is a residual stream with layer norms. Layers cannot turn a vector that is long
    enough, so the attacker chooses the encoder's output, whatever the layers have unlearned. This
    attack measures the denoiser, not the encoder.
    """
    free = budget or replace(BUDGETS[target.is_video], learning_rates=(0.1, 1.0), bounded=False)
    found = pseudo_token(backbone, intervention, target, free)
    return replace(found, name="pseudo-token, any length")
