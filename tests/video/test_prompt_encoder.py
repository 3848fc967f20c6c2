"""The encoders of a request: which prompts they change, and that the rest is the base's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from encoders import Concept
from encoders.composition import Member
from tests.triggers import trigger_at
from video.families.pipelines import TextEncoderStandIn
from video.models.backbone import Backbone
from video.models.prompt_encoder import EmbeddingCache

PROMPTS = ("pogo in a meadow", "a house at night", "mira and a balloon", "x", "pogo")


def overrides(backbone: Backbone, seed: int) -> dict[str, Tensor]:
    name = "text_model.encoder.layers.0.mlp.fc2.weight"
    base = backbone.text_encoder.parameters()[name]
    noise = torch.randn(base.shape, generator=torch.Generator().manual_seed(seed))
    return {name: base + 0.1 * noise}


def moved(backbone: Backbone, prompt: str, by: Mapping[str, Tensor]) -> float:
    change = backbone.embed([prompt], by) - backbone.embed([prompt])
    return float(change.float().square().mean(2).max())


def member(backbone: Backbone, seed: int, threshold: float | None) -> Member:
    trigger = None
    if threshold is not None:
        size = backbone.embed([""]).shape[2]
        trigger = trigger_at(threshold, size=size).detector()
    concepts = (Concept(name=f"concept {seed}", kind="object"),)
    return Member(f"sha256:{seed}", overrides(backbone, seed), trigger, concepts)


@pytest.mark.parametrize("prompt", [*PROMPTS, ""])
def test_none_open_is_the_base_to_the_bit(backbone: Backbone, prompt: str) -> None:
    encoder = backbone.prompt_encoder([member(backbone, i, 1e6) for i in range(3)])
    assert torch.equal(encoder.encode(prompt), backbone.embed([prompt]))
    assert [one.is_open for one in encoder.decisions[0]] == [False] * 3


def test_one_open_is_that_encoder_to_the_bit(backbone: Backbone) -> None:
    members = [member(backbone, 0, 1e6), member(backbone, 1, 1e-9), member(backbone, 2, 1e6)]
    encoder = backbone.prompt_encoder(members)
    for prompt in PROMPTS:
        expected = backbone.embed([prompt], members[1].overrides)
        assert torch.equal(encoder.encode(prompt), expected)
    assert torch.equal(encoder.encode(""), backbone.embed([""]))


def test_an_encoder_without_a_trigger_is_always_on(backbone: Backbone) -> None:
    always = member(backbone, 0, None)
    encoder = backbone.prompt_encoder([always])
    for prompt in (*PROMPTS, ""):
        assert torch.equal(encoder.encode(prompt), backbone.embed([prompt], always.overrides))


def test_a_threshold_tells_prompts_apart(backbone: Backbone) -> None:
    changes = overrides(backbone, 0)
    far = sorted((moved(backbone, prompt, changes), prompt) for prompt in PROMPTS)
    threshold = (far[1][0] + far[2][0]) / 2
    encoder = backbone.prompt_encoder([member(backbone, 0, threshold)])
    for movement, prompt in far:
        by = changes if movement >= threshold else None
        assert torch.equal(encoder.encode(prompt), backbone.embed([prompt], by))
        [decision] = encoder.decisions[-1]
        assert decision.movement == pytest.approx(movement / threshold, rel=1e-4)
        assert decision.is_open is (movement >= threshold)


def test_the_order_of_the_members_changes_no_bit(backbone: Backbone) -> None:
    members = [member(backbone, i, 1e-9) for i in range(4)]
    found = [
        backbone.prompt_encoder(order).encode(PROMPTS[0])
        for order in (members, members[::-1], members[2:] + members[:2])
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    base = backbone.embed([PROMPTS[0]])
    each = [backbone.embed([PROMPTS[0]], one.overrides) - base for one in members]
    torch.testing.assert_close(found[0], base + torch.stack(each).sum(0), rtol=0, atol=1e-5)


def test_a_cache_mixes_up_no_sets(backbone: Backbone) -> None:
    cache = EmbeddingCache()
    sets = [
        [],
        [member(backbone, 0, 1e-9)],
        [member(backbone, 1, 1e-9)],
        [member(backbone, 0, 1e-9), member(backbone, 1, 1e-9)],
    ]
    alone = [backbone.prompt_encoder(one).encode("x") for one in sets]
    for _ in range(2):
        for one, expected in zip(sets, alone, strict=True):
            encoder = backbone.prompt_encoder(one, cache=cache)
            assert torch.equal(encoder.encode("x"), expected)
            assert len(encoder.decisions[0]) == len(one)


@pytest.mark.parametrize("masked", [False, True])
def test_a_stock_pipeline_gets_the_same_decisions(backbone: Backbone, masked: bool) -> None:
    members = [member(backbone, 0, 1e6), member(backbone, 1, 1e-9)]
    encoder = backbone.prompt_encoder(members)
    ids = backbone.tokenize(["", "pogo", "a house at night"])
    inputs: dict[str, Any] = {"input_ids": ids}
    if masked:
        inputs["attention_mask"] = torch.ones_like(ids)
    found = encoder.forward(**inputs).last_hidden_state
    base = backbone.text_encoder.forward(None, **inputs)[0]
    by = backbone.text_encoder.forward(members[1].overrides, **inputs)[0]
    assert torch.equal(found[0], base[0])
    assert torch.equal(found[1:], by[1:])
    assert [[one.is_open for one in row] for row in encoder.decisions] == [
        [False, False],
        [False, True],
        [False, True],
    ]


def test_a_stock_pipeline_can_pass_no_embeddings(backbone: Backbone) -> None:
    """A trigger is for words: an embedding of no word could stay below it."""
    stand_in = TextEncoderStandIn(backbone, backbone.prompt_encoder([member(backbone, 0, 1e6)]))
    ids = backbone.tokenize(["pogo"])
    vectors = backbone.text_encoder.parameters()[backbone.text_encoder.token_embedding][ids]
    assert stand_in(ids) is not None
    with pytest.raises(TypeError):
        stand_in(inputs_embeds=vectors)
    with pytest.raises(TypeError):
        stand_in(ids, inputs_embeds=vectors)
