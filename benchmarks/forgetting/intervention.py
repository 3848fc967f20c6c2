"""What a method leaves behind: the three places at which a text-to-video model can be changed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Rewrite = Callable[[str], tuple[str, str]]
"""A user's prompt → the prompt and the negative prompt that the model is given."""


def as_asked(prompt: str) -> tuple[str, str]:
    """The prompt as it is, and no negative prompt."""
    return prompt, ""


@dataclass(frozen=True)
class Intervention:
    """A concept kept out of a model's pictures, by whichever means.

    Most methods use one of the three: an encoder's overrides work with every denoiser, a
    denoiser's weights with that one alone, and rewritten prompts with any model.
    """

    method: str
    concept: str
    kind: str
    overrides: Mapping[str, Tensor] | None = None
    """For the text encoder, by canonical name (`TextEncoder.encode`)."""
    denoiser: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """For the denoiser, by its own parameters' names."""
    rewrite: Rewrite = as_asked
    seconds: float = 0.0
    """What making it took, the few-shot images apart."""


@contextmanager
def edited(module: nn.Module, weights: Mapping[str, Tensor]) -> Generator[None]:
    """The module with some of its parameters replaced, in place, for the length of a block.

    In place, because under AnimateDiff image and video denoiser are the same tensors, and both
    have to be edited. Raises KeyError for a name that the module does not have.
    """
    parameters = dict(module.named_parameters())
    kept = {name: parameters[name].detach().clone() for name in weights}
    try:
        with torch.no_grad():
            for name, value in weights.items():
                parameters[name].copy_(value)
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                parameters[name].copy_(value)
