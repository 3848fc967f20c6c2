"""Overrides compute as loaded weights do, and a base refuses those that do not fit."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel

from encoders import EncoderInvalid
from encoders.text_encoder import TextEncoder

from .conftest import assert_same_tensors, nudged, tiny_clip


def loaded_with(overrides: dict[str, Tensor], seed: int = 0) -> torch.nn.Module:
    """Build a text model with the overrides written into its weights."""
    model = tiny_clip(seed).eval()
    state = {name.removeprefix("text_model."): tensor for name, tensor in overrides.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert len(missing) < len(model.state_dict())
    return model


@pytest.mark.parametrize("pattern", ["mlp", "layers.1.self_attn", "token_embedding", "norm", ""])
@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_overrides_are_bit_identical_to_loaded_weights(
    text_encoder: TextEncoder, input_ids: Tensor, pattern: str, stored: torch.dtype
) -> None:
    overrides = {n: t.to(stored) for n, t in nudged(text_encoder, pattern=pattern).items()}
    with torch.no_grad():
        expected = loaded_with(overrides)(input_ids=input_ids).last_hidden_state
        actual = text_encoder.encode(input_ids, overrides)
    assert torch.equal(actual, expected)
    assert not torch.equal(actual, text_encoder.encode(input_ids))


@torch.no_grad()
def test_all_that_the_model_returns_is_of_the_encoder(
    text_encoder: TextEncoder, input_ids: Tensor
) -> None:
    overrides = nudged(text_encoder)
    found = text_encoder.forward(overrides, input_ids=input_ids, output_hidden_states=True)
    expected = loaded_with(overrides)(input_ids=input_ids, output_hidden_states=True)
    assert torch.equal(found.pooler_output, expected.pooler_output)
    assert len(found.hidden_states) == len(expected.hidden_states) == 3
    for mine, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(found.pooler_output, text_encoder.module(input_ids).pooler_output)


def test_padding_is_kept_dropped_or_masked(input_ids: Tensor) -> None:
    pad = int(input_ids[0, -1])
    mask = (input_ids != pad).long()
    assert 0 < mask.sum() < mask.numel()
    module = tiny_clip().eval()
    with torch.no_grad():
        everything = module(input_ids=input_ids).last_hidden_state
        attended = module(input_ids=input_ids, attention_mask=mask).last_hidden_state
        kept = TextEncoder(tiny_clip()).encode(input_ids)
        dropped = TextEncoder(tiny_clip(), padding="dropped", pad_token=pad).encode(input_ids)
        masked = TextEncoder(tiny_clip(), padding="masked", pad_token=pad).encode(input_ids)
    assert torch.equal(kept, everything)
    assert torch.equal(dropped, everything * mask.unsqueeze(2))
    torch.testing.assert_close(masked, attended * mask.unsqueeze(2))  # fewer tokens are computed
    with pytest.raises(ValueError, match="needs pad_token"):
        TextEncoder(tiny_clip(), padding="masked")


def test_base_is_bit_identical_after_many_swaps(input_ids: Tensor) -> None:
    base = TextEncoder(tiny_clip())
    before = {name: tensor.clone() for name, tensor in base.parameters().items()}
    expected = base.encode(input_ids)
    encoders = [nudged(base, seed, pattern) for seed, pattern in enumerate(["mlp", "", "norm"] * 4)]
    for step in range(300):
        base.encode(input_ids, encoders[step % len(encoders)])
    assert_same_tensors(base.parameters(), before)
    assert torch.equal(base.encode(input_ids), expected)
    assert TextEncoder(base.module).fingerprint == TextEncoder(tiny_clip()).fingerprint


def test_base_survives_an_error_in_the_middle_of_a_call(input_ids: Tensor) -> None:
    base = TextEncoder(tiny_clip())
    expected = base.encode(input_ids)
    with pytest.raises((IndexError, RuntimeError)):
        base.encode(input_ids + 1000, nudged(base))
    assert torch.equal(base.encode(input_ids), expected)


def test_threads_never_see_each_others_overrides(input_ids: Tensor) -> None:
    base = TextEncoder(tiny_clip())
    encoders: list[dict[str, Tensor] | None] = [None, *(nudged(base, s) for s in range(5))]

    def encoded(which: int) -> Tensor:
        with torch.no_grad():
            return base.encode(input_ids, encoders[which])

    # Also in a pool thread: in this one, torch may compute with another number of threads, and the
    # last bits differ.
    with ThreadPoolExecutor(1) as pool:
        expected = list(pool.map(encoded, range(len(encoders))))

    def one(step: int) -> bool:
        which = step % len(encoders)
        return torch.equal(encoded(which), expected[which])

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(one, range(240)))


def test_gradients_flow_to_the_overrides_and_not_to_the_base(
    text_encoder: TextEncoder, input_ids: Tensor
) -> None:
    overrides = {n: t.clone().requires_grad_() for n, t in nudged(text_encoder).items()}
    text_encoder.encode(input_ids, overrides).square().mean().backward()
    assert overrides
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in overrides.values())
    assert all(p.grad is None and not p.requires_grad for p in text_encoder.module.parameters())


def test_names_are_those_of_checkpoints_on_the_hub(text_encoder: TextEncoder) -> None:
    assert next(iter(text_encoder.shapes)) == "text_model.embeddings.token_embedding.weight"
    assert list(text_encoder.shapes)[-1] == "text_model.final_layer_norm.bias"
    assert all(name.startswith("text_model.") for name in text_encoder.shapes)
    with_projection = TextEncoder(CLIPTextModelWithProjection(tiny_clip(projection_dim=8).config))
    assert "text_model.final_layer_norm.bias" in with_projection.shapes
    assert "text_projection.weight" in with_projection.shapes


@pytest.mark.parametrize(
    "name", ["shared.weight", "encoder.block.1.layer.1.DenseReluDense.wo.weight"]
)
def test_t5_with_tied_embeddings(name: str) -> None:
    config = T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    model = T5EncoderModel(config)
    base = TextEncoder(copy.deepcopy(model))
    override = base.parameters()[name] + 0.5
    ids = torch.tensor([[3, 4, 5, 1]])
    with torch.no_grad():
        dict(model.named_parameters())[name].copy_(override)
        expected = model.eval()(input_ids=ids).last_hidden_state
    assert torch.equal(base.encode(ids, {name: override}), expected)
    assert not torch.equal(base.encode(ids), expected)
    base.check({name: override})
    with pytest.raises(EncoderInvalid, match="Unknown tensor"):  # the tied name is not a second one
        base.check({"encoder.embed_tokens.weight": base.parameters()["shared.weight"] + 1})


NAME = "text_model.encoder.layers.0.mlp.fc1.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bias: {"mlp.fc1.bias": bias + 1}, "Unknown tensor 'mlp.fc1.bias'"),
        (lambda bias: {NAME.removeprefix("text_model."): bias + 1}, "Unknown tensor"),
        (lambda bias: {NAME: bias[:1] + 1}, r"has shape \(1,\); the base's has \(32,\)"),
        (lambda bias: {NAME: torch.tensor(1.0)}, r"has shape \(\)"),
        (lambda bias: {NAME: bias[None] + 1}, r"has shape \(1, 32\)"),
        (lambda bias: {NAME: (bias + 1).long()}, "floating-point"),
        (lambda bias: {NAME: bias * float("nan")}, "not finite"),
        (lambda bias: {NAME: bias + float("inf")}, "not finite"),
        (lambda bias: {NAME: bias + 70_000}, "not finite in float16"),
        (lambda bias: {NAME: bias.clone()}, "change nothing"),
        (lambda bias: {NAME: bias + 1e-9}, "change nothing"),
        (lambda bias: {}, "change nothing"),
    ],
)
def test_check_refuses(text_encoder: TextEncoder, change, message: str) -> None:
    with pytest.raises(EncoderInvalid, match=message):
        text_encoder.check(change(text_encoder.parameters()[NAME]))


def test_a_change_that_the_compute_precision_swallows_is_refused() -> None:
    base = TextEncoder(tiny_clip(), dtype=torch.bfloat16)
    # A fiftieth of bfloat16's precision at 1, though well above float16's.
    name = "text_model.final_layer_norm.weight"
    weight = torch.ones_like(base.parameters()[name])
    base.module.get_parameter("final_layer_norm.weight").data.fill_(1)
    with pytest.raises(EncoderInvalid, match="change nothing"):
        base.check({name: weight + 0.002})
    base.check({name: weight + 0.02})


def test_effective_rounds_to_float16_and_drops_what_does_not_differ(
    text_encoder: TextEncoder,
) -> None:
    base = text_encoder.parameters()
    changed = {NAME: (base[NAME] + 0.1).requires_grad_()}
    same = {"text_model.final_layer_norm.bias": base["text_model.final_layer_norm.bias"].clone()}
    stored = text_encoder.effective(changed | same)
    assert list(stored) == [NAME]
    assert stored[NAME].dtype == torch.float16
    assert not stored[NAME].requires_grad


def test_computes_in_the_bases_precision(input_ids: Tensor) -> None:
    base = TextEncoder(tiny_clip(), dtype=torch.bfloat16)
    assert base.encode(input_ids, nudged(base)).dtype == torch.bfloat16
