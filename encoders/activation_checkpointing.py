"""A text model of billions of parameters with gradients, on the memory that people have.

Its activations for a step's fifty prompts take several times its weights. So a few prompts are
computed at a time and their activations forgotten, to be computed again when gradients go back
through them (Chen et al. 2016, arXiv 1604.06174): half as much work again, a tenth of the room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CHECKPOINTING_MIN_PARAMETERS = 1_000_000_000
"""Parameters. T5 v1.1 XXL's encoder has 4.8 billion, CLIP ViT-L/14's text model 0.12."""
PROMPTS = 4
"""Of a large model, so many prompts at a time."""


def is_large(module: nn.Module) -> bool:
    """Whether activations are to be forgotten."""
    return (
        sum(parameter.numel() for parameter in module.parameters()) >= CHECKPOINTING_MIN_PARAMETERS
    )


def in_parts(call: Callable[..., Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
    """`call(**inputs)`, some of the batch at a time where gradients are taken.

    Args:
        call: (B,…) → (B,…), each sample by itself. Called again in the backward pass, maybe on
            another thread.
    """
    if not torch.is_grad_enabled():
        return call(**inputs)
    split = {name: tensor.split(PROMPTS) for name, tensor in inputs.items()}
    parts = [dict(zip(split, part, strict=True)) for part in zip(*split.values(), strict=True)]
    return torch.cat(
        [checkpoint(call, use_reentrant=False, preserve_rng_state=False, **one) for one in parts]
    )
