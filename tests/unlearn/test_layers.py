"""Presets and patterns of layers: the parameters that they select."""

from __future__ import annotations

import pytest

from unlearn.errors import LayersInvalid
from unlearn.layers import PRESETS, select

NAMES = [
    "text_model.embeddings.token_embedding.weight",
    *(
        f"text_model.encoder.layers.{i}.{part}.{leaf}"
        for i in range(12)
        for part in ("self_attn.q_proj", "layer_norm1", "mlp.fc1", "mlp.fc2")
        for leaf in ("weight", "bias")
    ),
    "text_model.final_layer_norm.weight",
]


def test_the_default_is_all_mlps_and_the_last_attention() -> None:
    chosen = select(NAMES, "mlp+last-attention")
    assert len([n for n in chosen if ".mlp." in n]) == 12 * 4
    assert [n for n in chosen if ".mlp." not in n] == [
        "text_model.encoder.layers.11.self_attn.q_proj.weight",
        "text_model.encoder.layers.11.self_attn.q_proj.bias",
    ]


def test_presets_and_patterns() -> None:
    assert select(NAMES, "all") == NAMES
    assert len(select(NAMES, "first")) == 8
    assert select(NAMES, ("*.layers.1.mlp.fc1.weight", "*final*")) == [
        "text_model.encoder.layers.1.mlp.fc1.weight",
        "text_model.final_layer_norm.weight",
    ]
    assert select(NAMES, "*.layers.{last}.mlp.fc1.bias") == [
        "text_model.encoder.layers.11.mlp.fc1.bias"
    ]


@pytest.mark.parametrize("layers", ["mpl", ("*.mlp.*", "*.layers.12.*"), ["q_proj"]])
def test_a_pattern_that_matches_nothing_is_an_error(layers: str) -> None:
    with pytest.raises(LayersInvalid):
        select(NAMES, layers)


T5 = [
    "shared.weight",
    *(
        f"encoder.block.{i}.layer.{layer}.{part}.weight"
        for i in range(24)
        for layer, parts in (
            (0, ("SelfAttention.q", "SelfAttention.o", "layer_norm")),
            (1, ("DenseReluDense.wi_0", "DenseReluDense.wi_1", "DenseReluDense.wo", "layer_norm")),
        )
        for part in parts
    ),
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder.final_layer_norm.weight",
]


def test_presets_mean_the_same_of_a_t5() -> None:
    chosen = select(T5, "mlp+last-attention")
    assert len([n for n in chosen if ".DenseReluDense." in n]) == 24 * 3
    assert [n for n in chosen if ".DenseReluDense." not in n] == [
        "encoder.block.23.layer.0.SelfAttention.q.weight",
        "encoder.block.23.layer.0.SelfAttention.o.weight",
    ]
    assert len(select(T5, "attention")) == 24 * 2
    assert len(select(T5, "first")) == 8
    assert select(T5, "all") == T5
    for architecture, names in (("clip", NAMES), ("t5", T5)):
        for preset, patterns in PRESETS.items():
            assert select(names, preset) == select(names, patterns[architecture])  # type: ignore[index]
