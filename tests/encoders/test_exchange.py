"""Export to plain checkpoints, which stock transformers loads, and import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedModel,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from encoders import EncoderInvalid, exchange, low_rank
from encoders.digest import digest
from encoders.exchange import export_directory, import_directory
from encoders.text_encoder import TextEncoder

from .conftest import assert_same_tensors, nudged

IDS = torch.tensor([[1, 5, 9, 2, 2], [1, 7, 30, 12, 2]])
CLIP = {
    "vocab_size": 40,
    "num_hidden_layers": 2,
    "max_position_embeddings": 12,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
T5 = {
    "vocab_size": 40,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,  # as t5-v1_1 and umt5 have it: it is about their decoders
}
FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "clip": lambda: CLIPTextModel(
        CLIPTextConfig(**CLIP, hidden_size=16, intermediate_size=32, num_attention_heads=2)
    ),
    "openclip": lambda: CLIPTextModel(
        CLIPTextConfig(
            **CLIP,
            hidden_size=24,
            intermediate_size=96,
            num_attention_heads=3,
            hidden_act="gelu",
            projection_dim=12,
        )
    ),
    "t5": lambda: T5EncoderModel(T5Config(**T5)),
    "umt5": lambda: UMT5EncoderModel(UMT5Config(**T5)),
}
PRECISIONS = ["float32", "float32 of halves", "float16", "bfloat16"]


def base_of(family: str, precision: str = "float32") -> TextEncoder:
    """Build a random text model of a family, whose float32 weights need more than float16."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FAMILIES[family]()
        for parameter in model.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    if precision == "float32 of halves":
        return TextEncoder(model.half().float())
    return TextEncoder(model.to(getattr(torch, precision)))


def change_of(base: TextEncoder, form: str) -> dict[str, Tensor]:
    """Make overrides as they are published: whole tensors, factors of matrices, or both."""
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return 0.1 * torch.randn(shape, generator=generator)

    overrides: dict[str, Tensor] = {}
    for number, (name, tensor) in enumerate(base.parameters().items()):
        if form == "whole" or (form == "both" and number % 2):
            overrides[name] = tensor.float() + noise(*tensor.shape)
        elif tensor.ndim == 2:
            overrides[name + low_rank.A] = noise(2, tensor.shape[1])
            overrides[name + low_rank.B] = noise(tensor.shape[0], 2)
    return base.effective(overrides)


@pytest.mark.parametrize("form", ["whole", "factors", "both"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_out_and_in_again_is_the_same_encoder(
    tmp_path: Path, family: str, precision: str, form: str
) -> None:
    base = base_of(family, precision)
    overrides = change_of(base, form)
    expected = digest(base.parameters(), overrides)
    export_directory(base, overrides, tmp_path / "a")
    back = import_directory(base, tmp_path / "a")
    assert digest(base.parameters(), back) == expected
    assert set(back) == {low_rank.parameter_of(name) for name in overrides}
    assert {tensor.dtype for tensor in back.values()} == {torch.float16}
    export_directory(base, back, tmp_path / "b")
    assert_same_tensors(import_directory(base, tmp_path / "b"), back)


@pytest.mark.parametrize("form", ["whole", "factors"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_stock_transformers_loads_it_and_computes_the_same(
    tmp_path: Path, family: str, precision: str, form: str
) -> None:
    base = base_of(family, precision)
    overrides = change_of(base, form)
    export_directory(base, overrides, tmp_path / "out")
    stock, info = type(base.module).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert {"missing_keys", "unexpected_keys"} <= info.keys()
    assert not any(info.values())
    assert stock.dtype == next(iter(base.parameters().values())).dtype
    with torch.no_grad():
        found = stock.eval()(input_ids=IDS).last_hidden_state
        # `encode` adds factors in float32, `materialize` in float64: the roundings differ.
        assert torch.equal(
            found, base.encode(IDS, low_rank.materialize(base.parameters(), overrides))
        )
        if form == "whole":
            assert torch.equal(found, base.encode(IDS, overrides))
        if precision == "float32":
            assert torch.allclose(found, base.encode(IDS, overrides), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(found, base.encode(IDS), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_those_of_checkpoints_on_the_hub(tmp_path: Path, family: str) -> None:
    base = base_of(family)
    export_directory(base, None, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    with safe_open(tmp_path / "out/model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        names = set(file.keys())
    assert names == set(base.shapes)
    some = {
        "clip": "text_model.encoder.layers.0.self_attn.k_proj.weight",
        "openclip": "text_model.embeddings.position_embedding.weight",
        "t5": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "umt5": "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
    }
    assert some[family] in names
    assert "encoder.embed_tokens.weight" not in names  # T5's: by its other name, `shared.weight`
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["architectures"] == [type(base.module).__name__]
    assert config["dtype"] == "float32"
    assert base.module.config.architectures is None  # the base's own is left alone


def test_a_base_that_was_loaded_from_a_checkpoint_goes_out_in_parts(
    tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = TextEncoder(CLIPTextModel.from_pretrained(exported))
    overrides = nudged(base, seed=2)
    monkeypatch.setattr(exchange, "SHARD_SIZE", 5000)
    export_directory(base, overrides, tmp_path / "out")
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    parts = sorted(set(index["weight_map"].values()))
    assert len(parts) > 2
    assert parts[0] == f"model-00001-of-{len(parts):05}.safetensors"
    assert set(index["weight_map"]) == set(base.shapes)
    stock, info = CLIPTextModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert {"missing_keys", "unexpected_keys"} <= info.keys()
    assert not any(info.values())
    with torch.no_grad():
        found = stock.eval()(input_ids=IDS).last_hidden_state
    stored = base.effective(overrides)
    assert torch.equal(found, base.encode(IDS, stored))
    back = import_directory(base, tmp_path / "out")
    assert digest(base.parameters(), back) == digest(base.parameters(), stored)


def test_nothing_is_written_over_or_left_behind(
    text_encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(EncoderInvalid, match="exists"):
        export_directory(text_encoder, None, tmp_path / "there")
    with pytest.raises(EncoderInvalid, match="no directory"):
        export_directory(text_encoder, None, tmp_path / "no/where")
    with pytest.raises(EncoderInvalid, match="Unknown tensor"):
        export_directory(text_encoder, {"a": torch.ones(1)}, tmp_path / "out")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exchange, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        export_directory(text_encoder, None, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["there"]
    assert not list((tmp_path / "there").iterdir())
