"""Triggers for tests: they open by the mean square of a prompt's change, in every direction."""

from __future__ import annotations

import torch

from encoders.trigger import ConceptTrigger, Trigger


def trigger_at(*thresholds: float, size: int, alone: bool = False) -> Trigger:
    """Return a trigger with a threshold for each of its concepts, on embeddings of this size."""
    every = torch.eye(size) / size**0.5
    concepts = tuple(ConceptTrigger.of(every, each) for each in thresholds)
    return Trigger(concepts=concepts, alone=alone)
