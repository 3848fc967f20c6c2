"""Protocols of the modules in this package: what a family's module, or a twin's, must offer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

import torch

from encoders.text_encoder import TextEncoder
from video.checkpoints.diffusers_directory import ModelFiles
from video.families import Family
from video.families.options import Options
from video.models.backbone import Backbone
from video.models.denoiser import Denoiser
from video.models.placement import Placement
from video.models.tokens import Tokens


class FamilyModule(Protocol):
    """A module that loads the models of a family; named by `Family.module`."""

    FOLDERS: tuple[str, ...]
    """Component folders of the model's directory that `load` reads; others are not fetched."""

    def load(self, files: ModelFiles, options: Options) -> Backbone:
        """Load a model. Raises BackboneInvalid."""
        ...

    def load_text_encoder(self, files: ModelFiles, options: Options) -> tuple[Tokens, TextEncoder]:
        """Load a model's tokenizer and text encoder alone. Raises BackboneInvalid."""
        ...


class TwinModule(Protocol):
    """A module that loads image twins; named in `TWINS`."""

    def load_twin(self, files: ModelFiles, placement: Placement, dtype: torch.dtype) -> Denoiser:
        """Load an image model's denoiser and autoencoder. Raises BackboneInvalid."""
        ...


TWINS: Mapping[str, str] = {
    "StableDiffusionPipeline": "video.families.stable_diffusion",
    "PixArtAlphaPipeline": "video.families.pixart",
}
"""Image models that can be twins: pipeline class → module."""


def family_module(family: Family) -> FamilyModule:
    """Import a family's module."""
    return cast(FamilyModule, import_module(family.module))


def twin_module(pipeline: str) -> TwinModule | None:
    """Import the module for an image model's pipeline class; None if it cannot be a twin."""
    module = TWINS.get(pipeline)
    return cast(TwinModule, import_module(module)) if module else None
