"""The second video model, loaded: its own denoiser behind the built-in model's text encoder."""

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
    """The model that `benchmarks.modelscope.train` wrote, with the built-in model's text encoder,
    autoencoder and image twin. Raises OSError if it has not.
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
    basics = BackboneParts(
        "modelscope", starter.tokens, starter.text_encoder, starter.capabilities, starter.prompts
    )
    return NativeBackbone(basics, video=video, image=image)
