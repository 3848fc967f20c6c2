"""Resistance: how much of a concept attackers read in an encoder that stands still.

The attackers are those of the training (`unlearn.methods.adversary`), but the encoder does not
answer: they take some steps, and what they read then is the measure. Every encoder meets the same
attackers at the same start, so that two can be compared. It says nothing of attacks through the
denoiser, which take longer and are stronger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from encoders import Card, Concept, Encoder
from unlearn.methods.adversary import Adversary
from unlearn.methods.anchor_rows import Anchors
from unlearn.methods.redirect import first_phrases
from unlearn.settings import UnlearnSettings
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone

STEPS = 8
"""Steps that the attackers take."""
READS = 4
"""Draws of captions over which the share that they read is a mean."""


@dataclass(frozen=True)
class Resistance:
    """Shares of a concept that attackers read, alone and merged: 0 is nothing, 1 as in the base."""

    member: str
    """Id of the encoder that was made to forget the concept."""
    concept: str
    alone: float
    """Share that they read in the member."""
    merged: float
    """Share that they read in the encoder that it is a part of."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def resistances(
    members: Sequence[Encoder], merged: Mapping[str, Tensor], backbone: Backbone
) -> list[Resistance]:
    """Return what attackers read of each member's concepts, in it and in the merged overrides.

    Triggers are left out on both sides: a merged encoder has none.
    """
    return [
        Resistance(
            member.card.id,
            concept.name,
            alone=share_read(concept, member.card, member.overrides, backbone),
            merged=share_read(concept, member.card, merged, backbone),
        )
        for member in members
        for concept in member.card.concepts
    ]


def share_read(
    concept: Concept, card: Card, overrides: Mapping[str, Tensor], backbone: Backbone
) -> float:
    """Return the share of a concept that the attackers read after `STEPS` steps.

    Args:
        concept: One of the card's concepts.
        card: Of the encoder that was made to forget it: it names the anchor.
        overrides: The encoder that is attacked.
        backbone: Its text encoder is the base.
    """
    anchors = Anchors(concept, task_of(card), backbone)
    generator = torch.Generator("cpu").manual_seed(0)
    phrases = first_phrases(concept, backbone)
    adversary = Adversary(anchors, phrases, backbone, generator)
    with torch.enable_grad():  # the caller may have turned gradients off
        for _ in range(STEPS):
            adversary(overrides).backward()
    return sum(adversary.read(overrides) for _ in range(READS)) / READS


def task_of(card: Card) -> UnlearnTask:
    """Return a task with an encoder's concepts and its anchor, whatever method made it."""
    anchor = card.settings.get("anchor")
    settings = UnlearnSettings(anchor=anchor if isinstance(anchor, str) else None)
    return UnlearnTask(card.concepts, settings)
