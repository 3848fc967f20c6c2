"""Interventions: changes of a text-to-video model at its encoder, its denoiser or its prompts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from encoders.trigger import Trigger
from video.models.backbone import Backbone

Rewrite = Callable[[str], tuple[str, str]]
"""A user's prompt → the prompt and the negative prompt that the model receives."""


def as_asked(prompt: str) -> tuple[str, str]:
    """Return the prompt unchanged, and an empty negative prompt."""
    return prompt, ""


@dataclass(frozen=True)
class Intervention:
    """A method's result: the changes that keep a concept out of a model's pictures.

    Most methods use one of the three places. An encoder's overrides work with every denoiser, a
    denoiser's weights with that denoiser only, and rewritten prompts with any model.
    """

    method: str
    concept: str
    kind: str
    overrides: Mapping[str, Tensor] | None = None
    """Overrides of the text encoder, by canonical name (`TextEncoder.encode`)."""
    trigger: Trigger | None = None
    """Prompts that the overrides are used for, if it is used alone too; None: for every prompt."""
    base: Mapping[str, Tensor] | None = None
    """Overrides of the base that the trigger compares with: the rows of an attacker's words."""
    denoiser: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """New values of the denoiser's parameters, by name."""
    rewrite: Rewrite = as_asked
    seconds: float = 0.0
    """Time that making it took, without the few-shot images."""

    def triggered(self) -> Intervention:
        """Return the same encoder going by its trigger, as it does in a set.

        Raises:
            ValueError: It has no trigger.
        """
        if self.trigger is None:
            raise ValueError(f"{self.method} of {self.concept} has no trigger.")
        return replace(self, trigger=self.trigger.model_copy(update={"alone": True}))

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Every tensor that it changes, by name: they identify it. Rewritten prompts have none."""
        return {**(self.overrides or {}), **self.denoiser}

    def embed(self, backbone: Backbone, prompts: Sequence[str]) -> Tensor:
        """Embed prompts as the server does, several at a time: (B,L,D).

        Differentiable with respect to the overrides, but for the trigger's decisions.
        """
        tokens = backbone.tokenize(prompts)
        moved = backbone.text_encoder.encode(tokens, self.overrides)
        if self.trigger is None or not self.trigger.alone:
            return moved
        base = backbone.text_encoder.encode(tokens, self.base)
        detector = self.trigger.detector(moved.device)
        opened = [
            bool(prompt) and detector.movement(b[None].detach(), m[None].detach()) >= 1
            for prompt, b, m in zip(prompts, base, moved, strict=True)
        ]
        is_open = torch.tensor(opened, device=moved.device)
        return torch.where(is_open[:, None, None], moved, base)


@contextmanager
def edited(module: nn.Module, weights: Mapping[str, Tensor]) -> Generator[None]:
    """Replace some of a module's parameters, in place, until the block ends.

    In place, because AnimateDiff's image and video denoiser share tensors, and both have to be
    edited.

    Raises:
        KeyError: the module has no parameter of that name; nothing is changed.
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
