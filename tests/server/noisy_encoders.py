"""Encoders that nobody had to train: a base with noise."""

from __future__ import annotations

import torch

from encoders import Concept, Encoder
from encoders.text_encoder import TextEncoder
from tests.triggers import trigger_at


def encoder_of(
    base: TextEncoder,
    encoder_id: str,
    *,
    seed: int = 1,
    parent: str | None = None,
    concept: str = "pogo",
    threshold: float | None = None,
    triggered_alone: bool = True,
) -> Encoder:
    """Return an encoder for a base: the base's MLPs plus noise.

    Without `threshold`, the mean square of a prompt's change from which it opens, it is always on;
    without `triggered_alone` it is so when it is alone.
    """
    generator = torch.Generator().manual_seed(seed)
    overrides = {
        name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in base.parameters().items()
        if "mlp" in name
    }
    return Encoder.of(
        base,
        overrides,
        id=encoder_id,
        concepts=(Concept(name=concept, kind="character"),),
        method="redirect",
        seed=seed,
        parent=parent,
        trigger=None
        if threshold is None
        else trigger_at(threshold, size=base.width, alone=triggered_alone),
    )
