"""A random change of the encoder, of a given size: the effect that any such change has."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.forgetting.intervention import Intervention
from encoders import Kind, low_rank
from video.frames import Frames
from video.models.backbone import Backbone


def random_delta(
    backbone: Backbone,
    concept: str,
    kind: Kind,
    images: Frames,
    seed: int,
    reference: Intervention,
) -> Intervention:
    """Change the tensors that the reference changes, each as far from the base, at random.

    Args:
        backbone: the base model.
        concept: the concept's name.
        kind: its kind.
        images: not used; nothing is learned.
        seed: seeds the directions.
        reference: an intervention with overrides.
    """
    began = perf_counter()
    base = backbone.text_encoder.parameters()
    whole = low_rank.apply(base, reference.overrides or {})
    deltas = {name: tensor - base[name] for name, tensor in whole.items()}
    overrides = {name: base[name] + delta for name, delta in random_like(deltas, seed).items()}
    seconds = perf_counter() - began
    return Intervention("random delta", concept, kind, overrides=overrides, seconds=seconds)


def random_like(deltas: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return for each tensor a Gaussian one of the same shape and Frobenius norm.

    Draws are on the CPU, so that a seed gives the same on every device.
    """
    random = torch.Generator("cpu").manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name, delta in deltas.items():
        direction = torch.randn(delta.shape, generator=random).to(delta.device)
        found[name] = direction * (delta.float().norm() / direction.norm())
    return found
