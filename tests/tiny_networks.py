"""Parts that the tiny models share: an image autoencoder, and large weights for networks."""

from __future__ import annotations

from typing import Any

import diffusers
from torch import nn

SIDE = 32
"""Pixels of a side of every model's clips."""


def image_vae() -> Any:
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def wake(network: nn.Module) -> None:
    """Draw the layers that start at zero: they would hide the prompt and the time."""
    for parameter in network.parameters():
        if parameter.ndim >= 2 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
