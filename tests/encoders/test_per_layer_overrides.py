"""Overrides applied to a large base one at a time give the same bits as all at once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from encoders import activation_checkpointing, low_rank
from encoders.text_encoder import TextEncoder

from .conftest import nudged, tiny_clip


def tiny_t5() -> T5EncoderModel:
    torch.manual_seed(0)
    return T5EncoderModel(
        T5Config(
            vocab_size=40,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    )


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many parameters each call of `low_rank.apply` was for."""
    found: list[int] = []
    apply = low_rank.apply

    def recorded(base: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
        result = apply(base, overrides)
        found.append(len(result))
        return result

    monkeypatch.setattr(low_rank, "apply", recorded)
    return found


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        *((tiny_clip, pattern) for pattern in ("", "mlp", "token_embedding", "norm")),
        *((tiny_t5, pattern) for pattern in ("", "Dense", "shared", "norm")),
    ],
)
@torch.no_grad()
def test_one_at_a_time_is_bit_identical(
    make: type, pattern: str, applied: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    input_ids = torch.randint(3, 40, (3, 6), generator=torch.Generator().manual_seed(1))
    base = TextEncoder(make())
    overrides = nudged(base, pattern=pattern)
    expected = base.encode(input_ids, overrides)
    plain = base.encode(input_ids)
    monkeypatch.setattr(activation_checkpointing, "LARGE_TEXT_ENCODER_PARAMETERS", 1)
    large = TextEncoder(make())
    applied.clear()
    assert torch.equal(large.encode(input_ids, overrides), expected)
    assert set(applied) == {1}
    assert len(applied) >= len(overrides)
    assert torch.equal(large.encode(input_ids), plain)
    assert not torch.equal(plain, expected)


@torch.no_grad()
def test_the_base_is_put_back_when_a_call_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_checkpointing, "LARGE_TEXT_ENCODER_PARAMETERS", 1)
    base = TextEncoder(tiny_t5())
    input_ids = torch.tensor([[3, 4, 5]])
    before = base.encode(input_ids)
    with pytest.raises(IndexError):
        base.encode(input_ids + 1000, nudged(base, pattern=""))
    assert torch.equal(base.encode(input_ids), before)
    assert all(isinstance(p, torch.nn.Parameter) for p in base.module.parameters())
    assert not any(part._forward_hooks for part in base.module.modules())
