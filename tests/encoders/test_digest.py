"""Hashes depend on tensors and canonical names, and on nothing else."""

from __future__ import annotations

import random

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from encoders import low_rank
from encoders.digest import digest, effective, fingerprint
from encoders.text_encoder import TextEncoder

from .conftest import nudged, tiny_clip

HALF = st.floats(-65504, 65504, width=16)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
TENSORS = st.dictionaries(
    st.text("abc._0", min_size=1, max_size=8),
    st.lists(st.lists(HALF, min_size=3, max_size=3), min_size=1, max_size=4).map(
        lambda rows: torch.tensor(rows, dtype=torch.float16)
    ),
    min_size=1,
    max_size=5,
)


@given(TENSORS, st.randoms(use_true_random=False))
def test_order_layout_and_width_do_not_matter(
    tensors: dict[str, Tensor], shuffler: random.Random
) -> None:
    names = list(tensors)
    shuffler.shuffle(names)
    for dtype in (torch.float16, torch.float32, torch.float64):
        other = {name: tensors[name].to(dtype).t().contiguous().t() for name in names}
        assert fingerprint(other) == fingerprint(tensors)


@given(TENSORS, st.data())
def test_names_shapes_and_values_matter(tensors: dict[str, Tensor], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(tensors)))
    rest = {other: tensor for other, tensor in tensors.items() if other != name}
    tensor = tensors[name]
    changed = tensor.clone()
    changed[0, 0] = 1 if tensor[0, 0] != 1 else 2
    variants = [
        rest,
        rest | {name + "x": tensor},
        rest | {name: tensor.reshape(-1)},
        rest | {name: changed},
    ]
    assert fingerprint(tensors) not in {fingerprint(variant) for variant in variants}


@given(TENSORS, TENSORS)
def test_digest_ignores_overrides_that_say_what_the_base_says(
    base: dict[str, Tensor], overrides: dict[str, Tensor]
) -> None:
    expected = digest(base, overrides)
    untouched = {name: tensor for name, tensor in base.items() if name not in overrides}
    assert digest(base, {**untouched, **overrides}) == expected
    # What is stored has that digest without the base at hand.
    assert fingerprint(effective(base, overrides)) == expected


def test_fingerprint_does_not_depend_on_how_the_base_is_computed() -> None:
    expected = TextEncoder(tiny_clip()).fingerprint
    assert TextEncoder(tiny_clip().half()).fingerprint == expected
    assert TextEncoder(tiny_clip(), dtype=torch.bfloat16).fingerprint == expected
    assert TextEncoder(tiny_clip(seed=1)).fingerprint != expected


def test_fingerprint_is_stable_across_versions() -> None:
    # Every published card holds it: if it changed, all of them would be refused.
    assert fingerprint({"b": torch.tensor([[1.0, -2.0]]), "a": torch.tensor(0.5)}) == (
        "sha256:e5f598c139a462863771dffcb2a42cfc4558993d506c2e6b61d0acc1e2ec7f5b"
    )


def test_digest_is_stable_across_versions() -> None:
    # Cards and clips hold it, and requests pin it.
    base = {"w": torch.tensor([[1.0, -2.0], [0.5, 0.25]]), "b": torch.tensor([1.0])}
    overrides = {
        "w.lora_A": torch.tensor([[0.1, 0.3]]),
        "w.lora_B": torch.tensor([[0.7], [1e-3]]),
        "b": torch.tensor([1.1]),
    }
    expected = "sha256:27460ba2bd63efb8b5bd28bcf341c87c96f9787caa72a798b320ff34231e706d"
    assert digest(base, overrides) == expected


@given(st.sampled_from(DTYPES), st.integers(0, 1000))
def test_what_is_computed_with_has_the_digest_of_what_makes_it(
    dtype: torch.dtype, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    base = {"w": noise(7, 5).to(dtype), "b": noise(7).to(dtype), "same": noise(3).to(dtype)}
    overrides = {
        "w.lora_A": 0.1 * noise(2, 5),
        "w.lora_B": noise(7, 2),
        "b": noise(7),
        "same": base["same"],
    }
    whole = low_rank.materialize(base, overrides)
    assert {name: tensor.dtype for name, tensor in whole.items()} == dict.fromkeys(base, dtype)
    assert (
        digest(base, whole) == digest(base, overrides) == digest(base, effective(base, overrides))
    )


def test_digest_counts_what_float16_loses_of_the_base() -> None:
    base = torch.tensor([[1 + 2**-11 - 2**-20]])  # 1 in float16, by a hair
    change = {"w.lora_A": torch.tensor([[2**-10]]), "w.lora_B": torch.tensor([[2**-9]])}
    assert low_rank.exact({"w": base}, change)["w"] == 1 + 2**-10
    assert low_rank.exact({"w": base.half().float()}, change)["w"] == 1


def test_encoders_that_differ_have_digests_that_differ(text_encoder: TextEncoder) -> None:
    base = text_encoder.parameters()
    assert len({digest(base, nudged(text_encoder, seed)) for seed in range(5)}) == 5
