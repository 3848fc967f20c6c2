"""What the engine and the optimiser ask of a model family, whichever it is.

A family is one file beside this one (`animatediff.py`). It knows how to load its directory, which
output of the text encoder its denoiser wants, one denoising prediction for a batch whose samples
stand at different timesteps, and how to go between pixels and latents.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from encoders import Kind, PalimpsestError

if TYPE_CHECKING:
    import torch
    from diffusers.schedulers.scheduling_utils import SchedulerMixin
    from torch import Tensor, nn

    from encoders import TextEncoder

Frames = NDArray[np.uint8]
PredictionType = Literal["epsilon", "v_prediction"]


class BackboneInvalid(PalimpsestError):
    """A model directory that cannot be loaded: something missing, pickled, or of another class."""

    code = "backbone_invalid"


@dataclass(frozen=True)
class Limits:
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


@dataclass(frozen=True)
class PromptBook:
    """Prompts that come with a model: what it is about, in its own words. All may be empty.

    `retain` are captions over everything the model can show; unlearning holds on to them.
    `generic` names a kind without naming a concept ("a creature"); it anchors a redirection.
    `concepts` lists the model's concepts by kind, each with other phrases that mean it.
    """

    retain: tuple[str, ...] = ()
    generic: Mapping[Kind, str] = field(default_factory=dict[Kind, str])
    concepts: Mapping[Kind, Mapping[str, tuple[str, ...]]] = field(
        default_factory=dict[Kind, Mapping[str, tuple[str, ...]]]
    )

    def synonyms(self, concept: str, kind: Kind) -> tuple[str, ...]:
        """Other phrases for the concept; none if the book does not know it."""
        return self.concepts.get(kind, {}).get(concept, ())


class Backbone(ABC):
    """A text-to-video model and its image twin over one text encoder. All weights are frozen.

    Latents are float32 whatever the weights' dtype. A clip's are (B,C,F,h,w), a still's (B,C,h,w).
    Not thread safe: one thread owns the device.
    """

    name: str
    limits: Limits
    text_encoder: TextEncoder
    prompts: PromptBook
    prediction_type: PredictionType
    alphas_cumprod: Tensor
    """(T,) float32: ᾱ of the noise schedule the model was trained with; ᾱ[-1] may be exactly 0."""
    device: torch.device
    dtype: torch.dtype
    """The denoiser's."""

    @abstractmethod
    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Token ids (B,L), padded and cut to the length the denoiser was trained with."""

    @abstractmethod
    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text that token ids stand for."""

    @abstractmethod
    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens a prompt has, start and end included; `tokenize` cuts off what is beyond
        `limits.prompt_tokens`, so that a caller who wants to be told must ask here."""

    @abstractmethod
    def scheduler(self) -> SchedulerMixin:
        """A new scheduler as the model's configuration has it. One per request: they have state."""

    @abstractmethod
    def initial_latents(self, seed: int, frames: int | None) -> Tensor:
        """Unit Gaussian noise (1,C,F,h,w), or (1,C,h,w) for `frames=None`, on the device.

        Drawn on the CPU, so that a seed means the same noise on every machine. The caller scales it
        by its scheduler's `init_noise_sigma`.
        """

    @abstractmethod
    def denoise(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        """What the denoiser predicts (see `prediction_type`), float32, shaped as `latents`.

        Args:
            latents: (B,C,F,h,w) for the video model, (B,C,h,w) for the image twin.
            timesteps: (B,), each sample's own.
            embeddings: (B,L,D) of the text encoder. Gradients flow back to them.
        """

    @abstractmethod
    def denoiser(self, moving: bool) -> nn.Module:
        """The network behind `denoise`: that of clips if `moving`, else the image twin's. Its
        weights are everybody's; what edits them puts them back."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Frames:
        """Latents of one clip (1,C,F,h,w) or one still (1,C,h,w) → (F,H,W,3), F = 1 for a still."""

    @abstractmethod
    def encode_images(self, images: Frames) -> Tensor:
        """Images (N,H,W,3) → scaled latents (N,C,h,w). Other sizes are brought to the native one.

        The mean of the autoencoder's posterior: the same image gives the same latents every time.
        """


def read_prompts(directory: Path) -> PromptBook:
    """The `prompts.json` of a model directory; an empty book where there is none.

    Raises:
        BackboneInvalid: the file is not the JSON it should be.
    """
    file = directory / "prompts.json"
    if not file.is_file():
        return PromptBook()
    try:
        data = cast(dict[str, Any], json.loads(file.read_bytes()))
        concepts: dict[Kind, Mapping[str, tuple[str, ...]]] = {}
        for kind, names in data.get("concepts", {}).items():
            if kind not in get_args(Kind):
                raise ValueError(f"unknown kind {kind!r}")
            concepts[kind] = {str(name): tuple(map(str, ways)) for name, ways in names.items()}
        return PromptBook(
            retain=tuple(map(str, data.get("retain", ()))),
            generic={kind: str(phrase) for kind, phrase in data.get("generic", {}).items()},
            concepts=concepts,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise BackboneInvalid(f"{file} cannot be read: {error}") from error


def read_defaults(directory: Path) -> dict[str, Any]:
    """The `defaults` of `prompts.json`: frames, fps, steps and guidance as measured on the model.

    Returns:
        Keyword arguments for `Limits`.

    Raises:
        BackboneInvalid: another key, or a value that is no positive number.
    """
    file = directory / "prompts.json"
    if not file.is_file():
        return {}
    defaults = json.loads(file.read_bytes()).get("defaults", {})
    for key, value in defaults.items():
        if key not in ("frames", "fps", "steps", "guidance"):
            raise BackboneInvalid(f"{file}: defaults has an unknown entry {key!r}")
        if not isinstance(value, (int, float)) or value <= 0:
            raise BackboneInvalid(f"{file}: the default {key} must be positive, not {value!r}")
    return {f"{key}_default": value for key, value in defaults.items()}


def load_backbone(
    path: Path | str,
    *,
    name: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Backbone:
    """Loads the model in directory `path`, whichever family it is of.

    Args:
        path: a diffusers model directory (`model_index.json` and a folder a component).
        name: what the model is called in requests; the directory's name by default.
        device: where it shall run.
        dtype: what its denoiser shall be computed in; float32 by default.

    Raises:
        BackboneInvalid: no such family, a component missing, or weights not in safetensors.
    """
    from video.animatediff import load_animatediff

    path = Path(path)
    index = read_index(path)
    family = index.get("_class_name")
    if family != "AnimateDiffPipeline":
        raise BackboneInvalid(
            f"{path} is a {family!r}; the families that can be loaded are: AnimateDiffPipeline."
        )
    return load_animatediff(path, index, name=name or path.name, device=device, dtype=dtype)


def read_index(directory: Path) -> dict[str, Any]:
    """The directory's `model_index.json`. Raises BackboneInvalid if there is none to be read."""
    file = directory / "model_index.json"
    try:
        return cast(dict[str, Any], json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise BackboneInvalid(
            f"{file} cannot be read ({error}); a model is a diffusers directory."
        ) from error
