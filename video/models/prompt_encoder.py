"""Prompt encoder: the text encoder as one request sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from encoders.text_encoder import TextEncoder


class PromptEncoder(Protocol):
    """Encodes the prompts of one request. Its overrides stay hidden behind it."""

    def encode(self, prompt: str) -> Tensor:
        """Embed one prompt for what the request makes, a clip or a still: (1,L,D)."""
        ...

    def forward(self, **inputs: Any) -> Any:
        """Call the text model on token ids, as a stock pipeline does, and return its outputs."""
        ...


class OverridesPromptEncoder:
    """A prompt encoder with one set of overrides over the base. Implements `PromptEncoder`.

    Args:
        text_encoder: the base.
        overrides: canonical parameter name → tensor; None for the base itself.
        embed: prompts and overrides → embeddings (B,L,D), as the denoiser expects them.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        overrides: Mapping[str, Tensor] | None,
        embed: Callable[[list[str], Mapping[str, Tensor] | None], Tensor],
    ) -> None:
        self._text_encoder = text_encoder
        self._overrides = overrides
        self._embed = embed

    @torch.no_grad()
    def encode(self, prompt: str) -> Tensor:
        return self._embed([prompt], self._overrides)

    def forward(self, **inputs: Any) -> Any:
        self._text_encoder.fetch()
        return self._text_encoder.forward(self._overrides, **inputs)
