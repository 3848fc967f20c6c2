"""Storage of a denoiser in eight bits, half the size of half precision.

A tensor of two or more dimensions is stored as int8, with one float32 scale for each output row:
row = scale × integers from -127 to 127. Smaller tensors are stored in float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet3DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

FILE = "denoiser-int8.safetensors"
_SCALE = ".scale"
_LARGEST = 127


def save_denoiser(unet: UNet3DConditionModel, folder: Path) -> None:
    """Write the denoiser's configuration, and its weights in eight bits."""
    cast(Any, unet).save_config(folder)
    save_file(quantized(unet.state_dict()), folder / FILE, metadata={"format": "pt"})


def load_denoiser(folder: Path) -> UNet3DConditionModel:
    """Load what `save_denoiser` wrote, in float32 and in evaluation mode.

    Raises:
        OSError: the folder has no configuration or no weights.
        ValueError: an integer tensor and its scale do not belong together.
        RuntimeError: the tensors are not those of the configured denoiser.
    """
    stock = cast(Any, UNet3DConditionModel)
    unet = stock.from_config(stock.load_config(folder))
    unet.load_state_dict(dequantized(load_file(folder / FILE)))
    return unet.eval()


def quantized(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors to store: each large tensor as integers, with its scales beside it."""
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2:
            stored[name] = tensor.half()
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(dim=1, keepdim=True) / _LARGEST
        steps = rows / scale.clamp(min=torch.finfo(torch.float32).tiny)  # a row may be all zeros
        stored[name] = steps.round().to(torch.int8).view(tensor.shape)
        stored[name + _SCALE] = scale.flatten()
    return stored


def dequantized(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 tensors that `quantized` stored, rounded to its integers.

    Raises:
        ValueError: an integer tensor and its scale do not belong together.
    """
    integers = {name for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    scales = {name + _SCALE for name in integers}
    for name in sorted(name for name in tensors if name.endswith(_SCALE)):
        if name not in scales:
            raise ValueError(f"The scale {name!r} belongs to no int8 tensor of the file.")
    state: dict[str, Tensor] = {}
    for name in tensors.keys() - scales:
        tensor = tensors[name]
        state[name] = tensor.float()
        if name in integers:
            state[name] *= _scale_of(name, tensors)
    return state


def _scale_of(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the scales of an integer tensor's rows, in a shape that multiplies them."""
    tensor, scale = tensors[name], tensors.get(name + _SCALE)
    if scale is None:
        raise ValueError(f"The int8 tensor {name!r} has no scale {name + _SCALE!r} in the file.")
    if scale.shape != tensor.shape[:1]:
        raise ValueError(
            f"The scale of {name!r} has the shape {tuple(scale.shape)}; one for each of "
            f"{len(tensor)} rows is needed."
        )
    return scale.view(-1, *(1,) * (tensor.ndim - 1))
