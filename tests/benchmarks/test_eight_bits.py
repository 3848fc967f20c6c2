"""The second video model's weights: stored in eight bits, read back, refused if incomplete."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.modelscope.eight_bits import (
    FILE,
    dequantized,
    load_denoiser,
    quantized,
    save_denoiser,
)
from benchmarks.modelscope.model import WEIGHTS
from tests import tiny_native


def test_a_weight_comes_back_within_half_a_step_of_its_row() -> None:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, 3, 3, generator=draw)
    weight *= 10.0 ** torch.arange(-3, 3).view(-1, 1, 1, 1)  # rows of very different sizes
    weight[2] = 0.0
    stored = quantized({"conv.weight": weight, "conv.bias": weight[:, 0, 0, 0]})
    assert {name: tensor.dtype for name, tensor in stored.items()} == {
        "conv.weight": torch.int8,
        "conv.weight.scale": torch.float32,
        "conv.bias": torch.float16,
    }
    read = dequantized(stored)
    assert read.keys() == {"conv.weight", "conv.bias"}
    assert all(tensor.dtype == torch.float32 for tensor in read.values())
    error = (read["conv.weight"] - weight).abs().flatten(1).amax(1)
    half_step = weight.abs().flatten(1).amax(1) / 127 / 2
    assert torch.all(error <= half_step * 1.0001)
    assert torch.all(read["conv.weight"][2] == 0.0)
    assert torch.equal(read["conv.bias"], weight[:, 0, 0, 0].half().float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.scale": None}, r"'a' has no scale 'a\.scale'"),
        ({"b.scale": torch.ones(2)}, r"'b\.scale' belongs to no int8 tensor"),
        ({"a.scale": torch.ones(1)}, r"'a' has the shape \(1,\); one for each of 2 rows"),
    ],
)
def test_a_scale_and_its_tensor_belong_together(
    change: dict[str, Tensor | None], message: str
) -> None:
    changed = quantized({"a": torch.ones(2, 3), "b": torch.ones(2)}) | change
    with pytest.raises(ValueError, match=message):
        dequantized({name: tensor for name, tensor in changed.items() if tensor is not None})


def test_a_denoiser_is_saved_and_loaded(tmp_path: Path) -> None:
    unet = tiny_native.modelscope().unet
    save_denoiser(unet, tmp_path)
    loaded = load_denoiser(tmp_path)
    state, read = unet.state_dict(), loaded.state_dict()
    assert state.keys() == read.keys() != set()
    assert all(torch.allclose(read[name], state[name], atol=0.01) for name in state)
    assert not loaded.training


def test_a_file_of_other_tensors_is_refused(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS / "config.json", tmp_path)
    with pytest.raises(OSError, match=FILE):
        load_denoiser(tmp_path)
    tensors = load_file(WEIGHTS / FILE)
    save_file(tensors | {"conv_in.other": torch.ones(2)}, tmp_path / FILE)
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"conv_in\.other"'):
        load_denoiser(tmp_path)
    del tensors["conv_in.bias"]
    save_file(tensors, tmp_path / FILE)
    with pytest.raises(RuntimeError, match=r'Missing key.*"conv_in\.bias"'):
        load_denoiser(tmp_path)


def test_the_committed_weights_load() -> None:
    unet = load_denoiser(WEIGHTS)
    tensors = list(unet.parameters())
    assert len(tensors) == 622
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    noise = torch.randn(1, 24, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        predicted = cast(Any, unet)(noise, 500, torch.zeros(1, 32, 192)).sample
    assert predicted.shape == noise.shape
    assert torch.isfinite(predicted).all()
