"""What the engine and the optimiser ask of a model, whichever family it is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders import PalimpsestError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from encoders.text_encoder import TextEncoder
    from video.generation_request import GenerationRequest
    from video.models.denoiser import Denoiser
    from video.models.prompt_book import PromptBook
    from video.models.tokens import Tokens

Frames = NDArray[np.uint8]


class BackboneInvalid(PalimpsestError):
    """A model that cannot be loaded: something missing, pickled, or of another class."""

    code = "backbone_invalid"


class NoNativeDenoiser(PalimpsestError):
    """The model's denoiser cannot be called by itself: it runs as a stock pipeline."""

    code = "not_stepped"


@dataclass(frozen=True)
class Capabilities:
    """What a backbone can do, and what it does when a request does not say."""

    native_width: int
    native_height: int
    frames_max: int
    frames_default: int = 12
    fps_default: int = 8
    steps_default: int = 20
    steps_max: int = 100
    guidance_default: float = 3.5
    prompt_tokens: int = 77


class Run(ABC):
    """A request on its way from noise to frames."""

    step: int
    """Steps done."""
    steps: int

    @abstractmethod
    def decode(self) -> Frames:
        """The frames of a run whose steps are done: (F,H,W,3), F = 1 for a still."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of what it holds. Called once, however it ended."""


@dataclass(frozen=True)
class BackboneParts:
    """What every backbone has, whatever denoises."""

    name: str
    """What it is called in requests."""
    tokens: Tokens
    text_encoder: TextEncoder
    capabilities: Capabilities
    prompts: PromptBook


class Backbone(ABC):
    """A text-to-video model over one text encoder. All weights are frozen.

    Not thread safe: one thread owns the device.
    """

    is_native: bool
    """Whether requests can be stepped together."""
    decodes_beside: bool
    """Whether frames can be decoded in another thread while steps are taken."""

    def __init__(self, basics: BackboneParts, device: torch.device, dtype: torch.dtype) -> None:
        self.name = basics.name
        self.tokens = basics.tokens
        self.text_encoder = basics.text_encoder
        self.capabilities = basics.capabilities
        self.prompts = basics.prompts
        self.device = device
        self.dtype = dtype
        """The denoiser's."""
        self.sources: tuple[Path, ...] = ()
        """The directories that it was loaded from: its own, its twin's, its motion adapter's."""

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Token ids (B,L), padded and cut to the length the denoiser was trained with."""
        return self.tokens.of(prompts).to(self.device)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text that token ids stand for."""
        return self.tokens.text(tokens)

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens a prompt has, start and end included; `tokenize` cuts off what is beyond
        `limits.prompt_tokens`, so that a caller who wants to be told must ask here.
        """
        return self.tokens.count(prompt)

    @abstractmethod
    def embed(
        self,
        prompts: Sequence[str],
        overrides: Mapping[str, Tensor] | None = None,
        *,
        is_video: bool = True,
    ) -> Tensor:
        """Prompts as the denoiser of clips, or of stills, wants them: (B,L,D)."""

    @abstractmethod
    def denoiser(self, is_video: bool) -> Denoiser:
        """That of clips if `is_video`, else the image twin's. Raises NoNativeDenoiser."""

    @abstractmethod
    def begin(
        self,
        request: GenerationRequest,
        overrides: Mapping[str, Tensor] | None,
        embed: Callable[[str], Tensor],
    ) -> Run:
        """Starts a request that was checked against the limits.

        Args:
            overrides: its encoder's; None for the base.
            embed: `embed` of one prompt, with that encoder and for what is asked for.
        """

    @abstractmethod
    def step(self, runs: Sequence[Any]) -> None:
        """Advances runs of one shape, which `begin` returned, by one step each. If it fails none
        of them has moved, and it may be tried again.
        """
