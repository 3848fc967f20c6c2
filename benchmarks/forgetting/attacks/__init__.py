"""Ways to get a forgotten concept back through the model that forgot it: one file an attack.

All are white-box: the attacker has the unlearned model's weights and its gradients, and pictures
of the concept from before. That is more than a client of a served model has, and as much as the
literature gives its attackers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.forgetting.attacks.attack import Attack, Target, pictures_of
from benchmarks.forgetting.attacks.pseudo_token import pseudo_token, unbounded_token
from benchmarks.forgetting.attacks.soft_prefix import soft_prefix
from benchmarks.forgetting.attacks.token_search import token_search
from benchmarks.forgetting.intervention import Intervention
from video.models.backbone import Backbone

Attacker = Callable[[Backbone, Intervention, Target], Attack]

ATTACKS: Mapping[str, Attacker] = {
    "soft prefix": soft_prefix,
    "pseudo-token": pseudo_token,
    "token search": token_search,
    "pseudo-token, any length": unbounded_token,
}

__all__ = ["ATTACKS", "Attack", "Attacker", "Target", "pictures_of"]
