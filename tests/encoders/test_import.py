"""Import of checkpoints that other programs made, and refusal of those of another base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from encoders import EncoderInvalid
from encoders.digest import digest
from encoders.exchange import export_directory, import_directory
from encoders.text_encoder import TextEncoder

from .conftest import assert_same_tensors, nudged, tiny_clip
from .test_exchange import base_of

NAME = "text_model.encoder.layers.0.mlp.fc1.bias"


def rewritten(path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    save_file(change(load_file(path / "model.safetensors")), path / "model.safetensors")


def named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name.removeprefix("text_model."): t for name, t in tensors.items()}


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_names_with_and_without_the_prefix_are_read_and_buffers_passed_over(
    text_encoder: TextEncoder, exported: Path, prefix: str
) -> None:
    expected = import_directory(text_encoder, exported)
    ids = {f"{prefix}embeddings.position_ids": torch.arange(12)[None]}
    rewritten(exported, lambda tensors: named(prefix, tensors) | ids)
    assert_same_tensors(import_directory(text_encoder, exported), expected)


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_tied_names_are_read_in_every_form(tmp_path: Path, family: str) -> None:
    base = base_of(family)
    shared, alias = "shared.weight", "encoder.embed_tokens.weight"
    overrides = {shared: base.parameters()[shared] + 0.5}
    expected = digest(base.parameters(), overrides)
    out = tmp_path / "out"
    export_directory(base, overrides, out)
    rewritten(out, lambda tensors: {**tensors, alias: tensors[shared].clone()})
    assert digest(base.parameters(), import_directory(base, out)) == expected
    rewritten(out, lambda tensors: {n: t for n, t in tensors.items() if n != shared})
    assert digest(base.parameters(), import_directory(base, out)) == expected
    rewritten(out, lambda tensors: {**tensors, shared: tensors[alias] + 1})
    with pytest.raises(EncoderInvalid, match="has one for both"):
        import_directory(base, out)


@pytest.mark.parametrize("saved", [torch.float16, torch.bfloat16, torch.float64])
def test_only_what_was_changed_comes_in_however_it_was_saved(
    tmp_path: Path, saved: torch.dtype
) -> None:
    base = base_of("clip")
    out = tmp_path / "out"
    export_directory(base, nudged(base), out)
    rewritten(out, lambda tensors: {name: t.to(saved) for name, t in tensors.items()})
    back = import_directory(base, out)
    assert set(back) == {name for name in base.shapes if "mlp" in name}


def test_what_comes_in_is_rounded_as_the_base_would_load_it(tmp_path: Path) -> None:
    base = base_of("clip", "bfloat16")
    out = tmp_path / "out"
    export_directory(base, nudged(base), out)
    odd = torch.full((32,), 1 + 2**-8 + 2**-13)  # in float16 half-way between two of bfloat16
    rewritten(out, lambda tensors: {**tensors, NAME: odd})
    assert set(import_directory(base, out)[NAME].tolist()) == {1 + 2**-7}


def test_what_came_in_does_not_hang_on_the_file(exported: Path) -> None:
    base = TextEncoder(tiny_clip().half())
    rewritten(exported, lambda tensors: {name: t.half() for name, t in tensors.items()})
    back = import_directory(base, exported)
    expected = {name: tensor.clone() for name, tensor in back.items()}
    size = (exported / "model.safetensors").stat().st_size
    with (exported / "model.safetensors").open("r+b") as file:
        file.write(b"\xff" * size)
    assert_same_tensors(back, expected)


@pytest.mark.parametrize("value", [7e4, 1e30, float("nan")])
def test_what_half_precision_cannot_hold_is_refused(tmp_path: Path, value: float) -> None:
    base = base_of("clip", "bfloat16")
    out = tmp_path / "out"
    export_directory(base, nudged(base), out)
    name = "text_model.final_layer_norm.bias"
    odd = base.parameters()[name].clone()
    odd[3] = value
    rewritten(out, lambda tensors: {**tensors, name: odd})
    with pytest.raises(EncoderInvalid, match=f"{name}.*not finite in float16"):
        import_directory(base, out)


@pytest.mark.parametrize("value", [1e-9, 3e-7, 1.2e-5, 6e4])
def test_bfloat16_at_the_ends_of_half_precision_keeps_its_digest(
    tmp_path: Path, value: float
) -> None:
    base = base_of("clip", "bfloat16")
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    overrides = base.effective({name: torch.full(base.shapes[name], value, dtype=torch.bfloat16)})
    export_directory(base, overrides, tmp_path / "out")
    back = import_directory(base, tmp_path / "out")
    assert digest(base.parameters(), back) == digest(base.parameters(), overrides)


# Refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {n: x for n, x in t.items() if n != NAME}, rf"missing: 1 \('{NAME}'\)"),
        (lambda t: {**t, "lm_head.weight": torch.ones(3)}, r"unknown: 1 \('lm_head.weight'\)"),
        (
            lambda t: {**t, NAME: torch.ones(31)},
            rf"of another shape: 1 \('{NAME}' is \(31,\) instead of \(32,\)\)",
        ),
        (lambda t: {**t, NAME: torch.ones(1)}, "another shape"),
        (lambda t: {f"module.{n}": x for n, x in t.items()}, r"missing: 36 \(.*, …\); unknown: 36"),
        (lambda t: {**t, NAME: torch.ones(32).long()}, "is stored as torch.int64"),
        (lambda t: {}, "missing: 36"),
    ],
)
def test_another_architecture_is_refused(
    text_encoder: TextEncoder,
    exported: Path,
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    message: str,
) -> None:
    rewritten(exported, change)
    with pytest.raises(EncoderInvalid, match=message):
        import_directory(text_encoder, exported)


@pytest.mark.parametrize("family", ["openclip", "t5"])
def test_another_familys_checkpoint_is_refused(
    text_encoder: TextEncoder, tmp_path: Path, family: str
) -> None:
    export_directory(base_of(family), None, tmp_path / "out")
    with pytest.raises(EncoderInvalid, match="is not a CLIPTextModel like the base"):
        import_directory(text_encoder, tmp_path / "out")


def test_what_equals_the_base_is_refused(text_encoder: TextEncoder, tmp_path: Path) -> None:
    export_directory(text_encoder, None, tmp_path / "out")
    with pytest.raises(EncoderInvalid, match="changes nothing: each of its 36 tensors"):
        import_directory(text_encoder, tmp_path / "out")
    rewritten(tmp_path / "out", lambda t: {**t, NAME: t[NAME] * (1 + 1e-6)})
    with pytest.raises(EncoderInvalid, match="change nothing"):
        import_directory(text_encoder, tmp_path / "out")
