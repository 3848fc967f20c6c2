"""Loading of the second video model: its denoiser behind the built-in model's text encoder."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.modelscope.eight_bits import load_denoiser
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
        ValueError, RuntimeError: its weights are not complete, or another model's.
    """
    image = starter.denoiser(is_video=False)
    video = UNet3D(
        load_denoiser(weights),
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
