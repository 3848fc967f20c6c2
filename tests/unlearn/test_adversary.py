"""The attackers inside the optimisation: where they stand, that they learn, what they leave."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from encoders import Concept, low_rank
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.adversary import (
    ATTACKERS,
    BEFORE,
    IN_PLACE,
    REACH,
    Adversary,
    find,
    tokens_of,
)
from unlearn.fewshot import captions
from video import Backbone, load_backbone


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


def adversary(backbone: Backbone, seed: int = 0) -> Adversary:
    pool = captions("pogo", "character", ("purple one-eyed robot",), book=backbone.prompts)
    return Adversary(pool, ["pogo", "blip"], backbone, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["pogo", "purple one-eyed robot", "a house"])
def test_a_name_is_found_in_its_sentences(backbone: Backbone, name: str) -> None:
    tokens = tokens_of(name, backbone)
    assert len(tokens) == backbone.prompt_tokens(name) - 2
    row = backbone.tokenize([f"look, {name} at sunset"])[0].tolist()
    place = find(tokens, row)
    assert place == backbone.prompt_tokens("look,") - 1
    assert row[place : place + len(tokens)] == tokens
    assert find(tokens, backbone.tokenize(["look, a cactus"])[0].tolist()) is None


def test_left_alone_the_attackers_come_nearer(backbone: Backbone) -> None:
    attackers = adversary(backbone)
    before = sum(attackers.distance({}) for _ in range(10))
    for _ in range(60):
        attackers({})
    assert sum(attackers.distance({}) for _ in range(10)) < 0.9 * before


def test_the_loss_moves_the_encoder_and_nothing_of_the_base(backbone: Backbone) -> None:
    attackers = adversary(backbone)
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    before = {n: t.clone() for n, t in backbone.text_encoder.parameters().items()}
    override = before[name].clone().requires_grad_()
    for _ in range(20):  # near enough to count
        loss = attackers({name: override})
    loss.backward()
    assert override.grad is not None
    assert override.grad.any()
    for n, tensor in backbone.text_encoder.parameters().items():
        assert torch.equal(tensor, before[n]), n
        assert tensor.grad is None


def test_the_same_seed_gives_the_same_attackers(backbone: Backbone) -> None:
    def losses(seed: int) -> list[float]:
        attackers = adversary(backbone, seed)
        return [attackers({}).item() for _ in range(30)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_token_embedding_may_be_trained_as_well(backbone: Backbone, rank: int) -> None:
    settings = UnlearnSettings(steps=3, rank=rank, layers="*.token_embedding.*")
    run = unlearn(UnlearnTask((Concept(name="pogo", kind="character"),), settings), backbone)
    for _ in run:
        pass
    names = {low_rank.parameter_of(name) for name in run.encoder.overrides}
    assert names == {backbone.text_encoder.token_embedding}


def test_the_token_embedding_goes_by_its_canonical_name(backbone: Backbone) -> None:
    expected = "text_model.embeddings.token_embedding.weight"
    assert backbone.text_encoder.token_embedding == expected


@pytest.mark.parametrize(("distance", "share"), [(0.0, 1.0), (0.7, 0.5), (2.0, 0.0)])
def test_the_nearer_an_attacker_is_the_more_it_pulls(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, distance: float, share: float
) -> None:
    attackers = adversary(backbone)

    def attack(_: object) -> tuple[torch.Tensor, ...]:
        nothing = attackers._tokens.sum((1, 2)) * 0
        return nothing + 2 * distance, nothing + 3, torch.full((ATTACKERS,), 2.0)

    monkeypatch.setattr(attackers, "_attack", attack)
    assert attackers({}).item() == pytest.approx(3 * share)


@torch.no_grad()
def test_what_is_read_as_another_concept_is_far(backbone: Backbone) -> None:
    attackers = adversary(backbone)
    for name, is_far in (("blip", True), ("pogo", False)):
        attackers._tokens[:] = attackers._vocabulary[tokens_of(name, backbone)]
        to_concept, _, far = attackers._attack({})
        assert ((to_concept / far)[:IN_PLACE] > REACH).tolist() == [is_far] * IN_PLACE, name


@torch.no_grad()
def test_a_word_before_a_sentence_is_as_near_as_can_be(backbone: Backbone) -> None:
    """The name is still there: what stands before it is an attacker from the first."""
    attackers = adversary(backbone)
    attackers._tokens[:] = attackers._vocabulary[attackers._words]
    to_concept, to_anchor, far = attackers._attack({})
    torch.testing.assert_close(to_concept[IN_PLACE:], torch.zeros(BEFORE), rtol=0, atol=1e-6)
    assert (to_anchor[IN_PLACE:] > 0).all()
    torch.testing.assert_close(to_anchor[IN_PLACE:], far[IN_PLACE:])
