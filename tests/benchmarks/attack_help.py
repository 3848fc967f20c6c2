"""Attacks with small budgets, and the target and the edited encoder that the tests use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.forgetting.attacks import Attack, Target
from benchmarks.forgetting.attacks.probe import probe
from benchmarks.forgetting.attacks.pseudo_token import pseudo_token, unbounded_token
from benchmarks.forgetting.attacks.soft_prefix import soft_prefix
from benchmarks.forgetting.attacks.soft_token import SoftBudget
from benchmarks.forgetting.attacks.token_search import SearchBudget, token_search
from benchmarks.forgetting.attacks.unlearn_diff import DescentBudget, unlearn_diff_attack
from benchmarks.forgetting.intervention import Intervention
from video.models.backbone import Backbone

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
CLIPS = RANDOM.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
NAMES = ("pogo", "purple one-eyed robot")
TARGET = Target("pogo", "character", NAMES, IMAGES)
BASE = Intervention("base", "pogo", "character")
FEED_FORWARD = "text_model.encoder.layers.0.mlp.fc1.weight"
SEARCH = SearchBudget(passes=1, tried=3, draws=1)
DESCENT = DescentBudget(steps=4, learning_rate=0.3, batch=2, looked_every=2)
SHORT = SoftBudget(steps=3, batch=2, learning_rates=(0.3,))
"""Enough to change the row; `test_the_loss_falls…` trains for longer."""

Run = Callable[[Backbone, Intervention, Target], Attack]


def soft(attacker: Callable[..., Attack], budget: SoftBudget = SHORT) -> Run:
    """Return an attack on one input embedding, with a budget."""
    return lambda backbone, by, target: attacker(backbone, by, target, budget)


def search(backbone: Backbone, by: Intervention, target: Target) -> Attack:
    """Run the token search with a small budget."""
    return token_search(backbone, by, target, SEARCH)


def descend(backbone: Backbone, by: Intervention, target: Target) -> Attack:
    """Run UnlearnDiffAtk with a small budget."""
    return unlearn_diff_attack(backbone, by, target, DESCENT)


def runs(budget: SoftBudget = SHORT) -> dict[str, Run]:
    """Return every attack with a budget for those that learn an embedding, by name."""
    return {
        "soft prefix": soft(soft_prefix, budget),
        "pseudo-token": soft(pseudo_token, budget),
        "token search": search,
        "pseudo-token, any length": soft(unbounded_token, replace(budget, bounded=False)),
        "UnlearnDiffAtk": descend,
        "PROBE": soft(probe, budget),
    }


RUNS = runs()
WORDS_ONLY = ("token search", "UnlearnDiffAtk")
SOFT_RUNS = {name: run for name, run in RUNS.items() if name not in WORDS_ONLY}
every_attack = pytest.mark.parametrize("run", list(RUNS.values()), ids=list(RUNS))
soft_attacks = pytest.mark.parametrize("run", list(SOFT_RUNS.values()), ids=list(SOFT_RUNS))


def parameters_of(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Return copies of the text encoder's and the video denoiser's parameters."""
    denoiser = dict(backbone.denoiser(is_video=True).network.named_parameters())
    tensors = {**backbone.text_encoder.parameters(), **denoiser}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def edit(backbone: Backbone, scale: float = 0.3) -> Intervention:
    """Return an intervention on the text encoder that an attack has to leave in place."""
    weight = backbone.text_encoder.parameters()[FEED_FORWARD]
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(7))
    return replace(BASE, overrides={FEED_FORWARD: (weight + scale * noise).half()})
