"""Attacks that recover a forgotten concept from the unlearned model, one in each file.

All are white-box: the attacker has the unlearned model's weights and gradients, and pictures of the
concept by the base model. A client of a served model has less; attackers in the literature have the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.forgetting.attacks.attack import Attack, Target, pictures_of
from benchmarks.forgetting.attacks.probe import probe
from benchmarks.forgetting.attacks.pseudo_token import pseudo_token, unbounded_token
from benchmarks.forgetting.attacks.soft_prefix import soft_prefix
from benchmarks.forgetting.attacks.token_search import token_search
from benchmarks.forgetting.attacks.unlearn_diff import unlearn_diff_attack
from benchmarks.forgetting.intervention import Intervention
from video.models.backbone import Backbone

Attacker = Callable[[Backbone, Intervention, Target], Attack]

ATTACKS: Mapping[str, Attacker] = {
    "soft prefix": soft_prefix,
    "pseudo-token": pseudo_token,
    "token search": token_search,
    "pseudo-token, any length": unbounded_token,
    "UnlearnDiffAtk": unlearn_diff_attack,
    "PROBE": probe,
}
ON_CLIPS = ("PROBE",)
"""Attacks through the video model, whatever the concept's kind."""

__all__ = ["ATTACKS", "ON_CLIPS", "Attack", "Attacker", "Target", "pictures_of"]
