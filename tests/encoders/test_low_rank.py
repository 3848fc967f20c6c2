"""Factors: they compute as the matrices that they make, and take only their own memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from encoders import Encoder, EncoderInvalid, low_rank
from encoders.digest import digest, effective, fingerprint
from encoders.residency import Residency
from encoders.store import EncoderStore
from encoders.text_encoder import TextEncoder

from .conftest import MakeEncoder, tiny_clip

NAME = "text_model.encoder.layers.0.mlp.fc1.weight"  # (32, 16)


def factors(base: TextEncoder, rank: int = 2, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: part
        for parameter, shape in base.shapes.items()
        if "mlp" in parameter and len(shape) == 2
        for name, part in (
            (parameter + ".lora_A", 0.3 * torch.randn(rank, shape[1], generator=generator)),
            (parameter + ".lora_B", 0.3 * torch.randn(shape[0], rank, generator=generator)),
        )
    }


def products(base: TextEncoder, overrides: dict[str, Tensor]) -> dict[str, Tensor]:
    names = [name.removesuffix(".lora_A") for name in overrides if name.endswith(".lora_A")]
    return {
        name: base.parameters()[name] + overrides[f"{name}.lora_B"] @ overrides[f"{name}.lora_A"]
        for name in names
    }


@given(rank=st.integers(1, 16), seed=st.integers(0, 100))
def test_factors_encode_as_the_matrices_they_make(rank: int, seed: int) -> None:
    base = TextEncoder(tiny_clip())
    ids = torch.tensor([[1, 5, 9, 2, 2], [1, 7, 30, 12, 2]])
    overrides = factors(base, rank, seed)
    whole = base.encode(ids, products(base, overrides))
    assert torch.allclose(base.encode(ids, overrides), whole, atol=1e-5)
    assert not torch.allclose(base.encode(ids), whole, atol=1e-3)


def test_gradients_reach_both_factors(text_encoder: TextEncoder, input_ids: Tensor) -> None:
    overrides = {name: part.requires_grad_() for name, part in factors(text_encoder).items()}
    text_encoder.encode(input_ids, overrides).square().mean().backward()
    assert overrides
    assert all(part.grad is not None and part.grad.any() for part in overrides.values())


def test_factors_and_what_they_make_are_one_encoder(text_encoder: TextEncoder) -> None:
    base = text_encoder.parameters()
    stored = text_encoder.effective(factors(text_encoder))
    whole = low_rank.exact(base, stored)
    assert digest(base, stored) == digest(base, whole)
    assert fingerprint(stored) != fingerprint(whole)
    nudged = {name: part.clone() for name, part in stored.items()}
    nudged[f"{NAME}.lora_A"][0, 0] += 0.5
    assert digest(base, nudged) != digest(base, stored)


@given(seed=st.integers(0, 1000))
def test_the_digest_does_not_depend_on_the_order_of_summation(seed: int) -> None:
    base = TextEncoder(tiny_clip())
    stored = base.effective(factors(base, rank=8, seed=seed))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    shuffled = {
        name: part[order] if name.endswith(".lora_A") else part[:, order]
        for name, part in stored.items()
    }
    assert digest(base.parameters(), shuffled) == digest(base.parameters(), stored)


def test_factors_that_change_nothing_are_left_out(text_encoder: TextEncoder) -> None:
    overrides = factors(text_encoder)
    overrides[f"{NAME}.lora_B"] = torch.zeros(32, 2)
    assert f"{NAME}.lora_A" not in effective(text_encoder.parameters(), overrides)
    only = {n: t for n, t in overrides.items() if n.startswith(NAME)}
    with pytest.raises(EncoderInvalid, match="change nothing"):
        text_encoder.check(only)


@pytest.mark.parametrize(
    "odd",
    [
        {f"{NAME}.lora_A": torch.ones(1, 16)},
        {f"{NAME}.lora_B": torch.ones(32, 1)},
        {f"{NAME}.lora_A": torch.ones(1, 15), f"{NAME}.lora_B": torch.ones(32, 1)},
        {f"{NAME}.lora_A": torch.ones(2, 16), f"{NAME}.lora_B": torch.ones(32, 1)},
        {f"{NAME}.lora_A": torch.ones(1, 16), f"{NAME}.lora_B": torch.ones(1, 1)},
        {f"{NAME}.lora_A": torch.ones(0, 16), f"{NAME}.lora_B": torch.ones(32, 0)},
        {f"{NAME}.lora_A": torch.ones(17, 16), f"{NAME}.lora_B": torch.ones(32, 17)},
        {f"{NAME}.lora_A": torch.ones(16), f"{NAME}.lora_B": torch.ones(32)},
        {f"{NAME}.lora_A": torch.ones(1, 16), f"{NAME}.lora_B": torch.full((32, 1), torch.inf)},
        {f"{NAME}.lora_A": torch.full((1, 16), 6e4), f"{NAME}.lora_B": torch.full((32, 1), 6e4)},
        {
            NAME: torch.ones(32, 16),
            f"{NAME}.lora_A": torch.ones(1, 16),
            f"{NAME}.lora_B": torch.ones(32, 1),
        },
        {
            f"{NAME[:-6]}bias.lora_A": torch.ones(1, 1),
            f"{NAME[:-6]}bias.lora_B": torch.ones(32, 1),
        },
    ],
)
def test_factors_that_do_not_fit_are_refused(
    text_encoder: TextEncoder, odd: dict[str, Tensor]
) -> None:
    with pytest.raises(EncoderInvalid):
        text_encoder.check(odd)


def test_factors_stay_factors_in_the_store_and_on_the_device(
    text_encoder: TextEncoder, store: EncoderStore, make_encoder: MakeEncoder, input_ids: Tensor
) -> None:
    encoder: Encoder = make_encoder("no-pogo", overrides=factors(text_encoder, rank=1))
    store.publish(encoder)
    resident = Residency(text_encoder, store, 1 << 20, "cpu")
    with resident.use(encoder.card.ref) as (member,):
        assert set(member.overrides) == set(encoder.overrides)
        served = text_encoder.encode(input_ids, member.overrides)
    assert resident.resident_bytes == sum(part.nbytes for part in encoder.overrides.values())
    assert torch.equal(served, text_encoder.encode(input_ids, encoder.overrides))


@given(rows=st.integers(1, 70), seed=st.integers(0, 100))
def test_row_by_row_the_bits_are_the_same(rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    base = {"w": torch.randn(150, 9, generator=generator), "b": torch.randn(150)}
    overrides = {
        "w.lora_A": torch.randn(2, 9, generator=generator),
        "w.lora_B": torch.randn(150, 2, generator=generator),
        "b": torch.randn(150, generator=generator),
    }
    at_once = low_rank.exact(base, overrides)
    assert at_once.keys() == base.keys()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(low_rank, "ROWS", rows)
        for name, expected in at_once.items():
            parts = list(low_rank.exact_rows(base, overrides, name))
            assert len(parts) == -(-150 // rows)
            assert torch.equal(torch.cat([part for _, part in parts]), expected)
            assert all(torch.equal(expected[at], part) for at, part in parts)
            bound = low_rank.bound(overrides, name, low_rank.max_abs(base[name]))
            assert expected.abs().max() <= bound * 1.001


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 6e4])
@pytest.mark.parametrize("part", [".lora_A", ".lora_B"])
def test_one_bad_number_in_the_last_factors_is_found(
    text_encoder: TextEncoder, value: float, part: str
) -> None:
    overrides = factors(text_encoder)
    last = max(name for name in overrides if name.endswith(part))
    overrides[last].fill_(1.0)
    overrides[last][-1, -1] = value
    other = last.replace(part, ".lora_A" if part == ".lora_B" else ".lora_B")
    overrides[other].fill_(2.0)
    with pytest.raises(EncoderInvalid, match="finite"):
        text_encoder.check(overrides)


@given(rank=st.integers(1, 16), seed=st.integers(0, 100))
def test_what_is_hashed_is_what_is_computed_with(rank: int, seed: int) -> None:
    base = TextEncoder(tiny_clip()).parameters()
    base = {name: tensor + 1e-5 * torch.randn_like(tensor) for name, tensor in base.items()}
    overrides = {n: t.half() for n, t in factors(TextEncoder(tiny_clip()), rank, seed).items()}
    hashed = low_rank.materialize(base, overrides)
    applied = low_rank.apply(base, overrides)
    assert applied
    assert applied.keys() == hashed.keys()
    for name, tensor in applied.items():
        assert hashed[name].dtype == tensor.dtype
        assert torch.allclose(hashed[name], tensor, rtol=1e-6, atol=1e-6)


@given(
    rank=st.integers(2, 40),
    seed=st.integers(0, 1000),
    largest=st.sampled_from([0.1, 1.0, 60.0, 6e4]),
)
def test_products_are_the_same_in_any_order_and_any_number_of_rows(
    rank: int, seed: int, largest: float
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def of_all_sizes(*shape: int) -> Tensor:
        sizes = 10 ** (-7 * torch.rand(shape, generator=generator))
        return (largest * sizes * (2 * torch.rand(shape, generator=generator) - 1)).half()

    a, b = of_all_sizes(rank, 50), of_all_sizes(9, rank)
    expected = low_rank.product(b, a)
    order = torch.randperm(rank, generator=generator)
    assert torch.equal(low_rank.product(b[:, order], a[order]), expected)
    rows = [low_rank.product(row[None], a) for row in b]
    assert torch.equal(torch.cat(rows), expected)
    assert torch.allclose(expected, b.double() @ a.double(), rtol=1e-9, atol=1e-12)


def test_a_half_that_went_through_bfloat16_stays_what_it_is() -> None:
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.float16)
    zeros = torch.zeros(2**16, dtype=torch.bfloat16)
    once = low_rank.exact({"w": zeros}, {"w": every})["w"]
    kept = once[once.isfinite()]
    assert len(kept) == every.isfinite().sum() - 8  # the largest four of either sign are no more
    again = low_rank.exact({"w": zeros[: len(kept)]}, {"w": kept})["w"]
    assert torch.equal(again, kept)


@pytest.mark.parametrize("value", [65_504.0, 65_472.0, 65_408.0])
def test_a_half_that_bfloat16_makes_infinite_is_refused(value: float) -> None:
    first, last = NAME, "text_model.final_layer_norm.bias"
    overrides = {first: torch.ones(32, 16), last: torch.full((16,), value)}
    TextEncoder(tiny_clip()).check(overrides)
    with pytest.raises(EncoderInvalid, match=f"'{last}' is not finite"):
        TextEncoder(tiny_clip(), dtype=torch.bfloat16).check(overrides)
