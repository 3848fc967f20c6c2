"""Trainable tensors: what an optimisation changes, laid over the base or over the parent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from encoders import EncoderInvalid, low_rank
from unlearn.errors import LayersInvalid
from unlearn.layers import select
from unlearn.task import UnlearnTask

if TYPE_CHECKING:
    from video.models.backbone import Backbone


def trainable(task: UnlearnTask, backbone: Backbone) -> dict[str, Tensor]:
    """Return the tensors to train, at their start.

    They are factors of the chosen matrices, with a product of zero, or for rank 0 copies of the
    chosen parameters, in float32.

    Raises:
        LayersInvalid: No parameter matches, or for factors no matrix.
        EncoderInvalid: The parent was made for another base.
    """
    text_encoder = backbone.text_encoder
    if task.parent is not None and task.parent.card.base != text_encoder.fingerprint:
        raise EncoderInvalid(
            f"Encoder {task.parent.card.id!r} was made for another text encoder: its base is "
            f"{task.parent.card.base}, the one here is {text_encoder.fingerprint}.",
            param="parent",
        )
    base = text_encoder.parameters()
    chosen = select(base, task.settings.layers)
    rank = task.settings.schedule().rank
    if rank == 0:
        now = {**base, **low_rank.apply(base, task.parent_overrides)}
        return {name: now[name].detach().float().clone().requires_grad_() for name in chosen}
    rank *= len(task.concepts)  # room for each concept
    generator = torch.Generator("cpu").manual_seed(task.settings.seed)
    factors: dict[str, Tensor] = {}
    for name in chosen:
        if base[name].ndim != 2:
            continue
        rows, columns = base[name].shape
        width = min(rank, rows, columns)
        a = torch.randn(width, columns, generator=generator) / math.sqrt(columns)
        factors[name + low_rank.A] = a.to(text_encoder.device).requires_grad_()
        factors[name + low_rank.B] = torch.zeros(
            rows, width, device=text_encoder.device, requires_grad=True
        )
    if not factors:
        raise LayersInvalid(
            f"Factors are made of matrices, and {task.settings.layers!r} names none: take other "
            "layers, or rank 0 for whole parameters.",
            param="layers",
        )
    return factors
