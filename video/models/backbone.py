"""Backbone: the interface of a text-to-video model, whichever family it belongs to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from encoders.composition import Member
from encoders.text_encoder import TextEncoder
from video.capabilities import Capabilities
from video.generation_request import GenerationRequest
from video.models.denoiser import Denoiser
from video.models.generation_state import GenerationState
from video.models.prompt_book import PromptBook
from video.models.prompt_encoder import ComposedPromptEncoder, EmbeddingCache, PromptEncoder
from video.models.tokens import Tokens


@dataclass(frozen=True)
class BackboneParts:
    """The parts that every backbone has, whatever its denoiser is."""

    name: str
    """The model's name in requests."""
    tokens: Tokens
    text_encoder: TextEncoder
    capabilities: Capabilities
    prompts: PromptBook


class Backbone(ABC):
    """A text-to-video model over one text encoder. All weights are frozen.

    Not thread safe: one thread owns the device.
    """

    is_native: bool
    """True if the engine calls the denoiser itself, so that requests can share a step."""
    decodes_beside: bool
    """True if one thread can decode frames while another takes steps."""

    def __init__(self, parts: BackboneParts, device: torch.device, dtype: torch.dtype) -> None:
        self.name = parts.name
        self.tokens = parts.tokens
        self.text_encoder = parts.text_encoder
        self.capabilities = parts.capabilities
        self.prompts = parts.prompts
        self.device = device
        self.dtype = dtype
        """The denoiser's precision."""
        self.sources: tuple[Path, ...] = ()
        """Directories it was loaded from: its own, its image twin's, its motion adapter's."""

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Return token ids (B,L), padded and cut to the length the denoiser was trained with."""
        return self.tokens.encode(prompts).to(self.device)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""
        return self.tokens.decode(tokens)

    def prompt_tokens(self, prompt: str) -> int:
        """Count a prompt's tokens, start and end included.

        `tokenize` cuts a prompt silently at `capabilities.prompt_tokens`: compare with this count
        to warn of it.
        """
        return self.tokens.count(prompt)

    def prompt_encoder(
        self,
        members: Sequence[Member] = (),
        *,
        is_video: bool = True,
        cache: EmbeddingCache | None = None,
    ) -> ComposedPromptEncoder:
        """Return the encoder of a request's prompts.

        Args:
            members: unlearned encoders, each used for the prompts that open it; none: the base.
            is_video: encode for the video denoiser, otherwise for the image twin's.
            cache: embeddings that requests share; None: a cache of its own.
        """
        return ComposedPromptEncoder(
            self.text_encoder,
            members,
            embed=partial(self.embed, is_video=is_video),
            empty_row=self.tokenize([""])[0],
            cache=cache or EmbeddingCache(),
            kind="clip" if is_video else "still",
        )

    @abstractmethod
    def embed(
        self,
        prompts: Sequence[str],
        overrides: Mapping[str, Tensor] | None = None,
        *,
        is_video: bool = True,
    ) -> Tensor:
        """Embed prompts as the video denoiser, or the image twin's, expects them: (B,L,D).

        Differentiable with respect to `overrides`.
        """

    @abstractmethod
    def denoiser(self, is_video: bool) -> Denoiser:
        """Return the video denoiser, or the image twin's if `is_video` is false.

        Raises:
            NoNativeDenoiser: the backbone is a stock pipeline.
        """

    @abstractmethod
    def begin(self, request: GenerationRequest, encoder: PromptEncoder) -> GenerationState:
        """Start a request that was checked against the capabilities.

        Args:
            request: the clip or still to make.
            encoder: encodes the request's prompts.
        """

    @abstractmethod
    def step(self, states: Sequence[Any]) -> None:
        """Advance states of one shape by one step each.

        If the call fails, no state has advanced, and it can be repeated.

        Args:
            states: made by `begin` of this backbone.
        """
