"""Gradients of a large text model do not depend on computing a few prompts at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from encoders import activation_checkpointing
from encoders.text_encoder import TextEncoder

from .conftest import tiny_clip


def gradients(base: TextEncoder, input_ids: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    name = next(name for name in base.shapes if name.endswith("mlp.fc1.weight"))
    rows, columns = base.shapes[name]
    factors = {
        f"{name}.lora_A": torch.randn(2, columns, generator=generator, requires_grad=True),
        f"{name}.lora_B": torch.randn(rows, 2, generator=generator, requires_grad=True),
    }
    base.encode(input_ids, factors).square().mean().backward()
    return {name: factor.grad for name, factor in factors.items() if factor.grad is not None}


def test_gradients_are_those_of_all_prompts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    input_ids = torch.randint(0, 40, (11, 6), generator=torch.Generator().manual_seed(1))
    whole = gradients(TextEncoder(tiny_clip()), input_ids)
    monkeypatch.setattr(activation_checkpointing, "LARGE_TEXT_ENCODER_PARAMETERS", 1)
    sizes: list[int] = []
    base = TextEncoder(tiny_clip())
    base.module.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    parts = gradients(base, input_ids)
    assert len(whole) == len(parts) == 2
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient)
    assert sorted(sizes) == [3, 3, 4, 4, 4, 4], "each part twice: forward, and for its backward"
    sizes.clear()
    with torch.no_grad():
        base.encode(input_ids)
    assert sizes == [11], "all at once where no gradients are taken"


def test_only_models_of_billions_are_large() -> None:
    assert not activation_checkpointing.is_large(tiny_clip())
    with torch.device("meta"):
        assert activation_checkpointing.is_large(nn.Linear(40_000, 40_000))
