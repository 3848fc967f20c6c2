"""Loading of the second video model: its denoiser behind the built-in model's text encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet3DConditionModel

from video.families.modelscope import UNet3D
from video.models.backbone import Backbone, BackboneParts
from video.models.native import NativeBackbone

WEIGHTS = Path(__file__).parent / "weights"


def load_modelscope(starter: Backbone, weights: Path = WEIGHTS) -> NativeBackbone:
    """Load the denoiser that `benchmarks.modelscope.train` wrote, into a model.

    Args:
        starter: the built-in model, which gives text encoder, autoencoder and image twin.
        weights: the denoiser's folder.

    Raises:
        OSError: the folder holds no denoiser.
    """
    unet = cast(Any, UNet3DConditionModel).from_pretrained(weights, torch_dtype=torch.float32)
    image = starter.denoiser(is_video=False)
    video = UNet3D(
        unet,
        image.autoencoder,
        image.noise_scheduler(),
        image.size,
        image.placement,
        torch.float32,
    )
    parts = BackboneParts(
        "modelscope", starter.tokens, starter.text_encoder, starter.capabilities, starter.prompts
    )
    return NativeBackbone(parts, video=video, image=image)
