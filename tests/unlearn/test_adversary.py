"""The attackers inside the optimisation: their places, their learning, and their loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from encoders import Concept, low_rank
from unlearn import UnlearnSettings, UnlearnTask, unlearn
from unlearn.methods.adversary import (
    ATTACKERS,
    BEFORE,
    IN_PLACE,
    MIN_READ,
    Adversary,
    concept_shares,
    distinctive,
    find_tokens,
    made_up,
    tokens_of,
)
from unlearn.methods.anchor_rows import Anchors
from video import load_backbone
from video.models.backbone import Backbone


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


def adversary(backbone: Backbone, seed: int = 0) -> Adversary:
    pogo = Concept(name="pogo", kind="character", synonyms=("purple one-eyed robot",))
    anchors = Anchors(pogo, UnlearnTask((pogo,)), backbone)
    return Adversary(anchors, ["pogo", "blip"], backbone, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["pogo", "purple one-eyed robot", "a house"])
def test_a_name_is_found_in_its_sentences(backbone: Backbone, name: str) -> None:
    tokens = tokens_of(name, backbone)
    assert len(tokens) == backbone.prompt_tokens(name) - 2
    row = backbone.tokenize([f"look, {name} at sunset"])[0].tolist()
    place = find_tokens(tokens, row)
    assert place == backbone.prompt_tokens("look,") - 1
    assert row[place : place + len(tokens)] == tokens
    assert find_tokens(tokens, backbone.tokenize(["look, a cactus"])[0].tolist()) is None


def test_left_alone_the_attackers_read_more(backbone: Backbone) -> None:
    attackers = adversary(backbone)
    before = sum(attackers.read({}) for _ in range(10))
    for _ in range(60):
        attackers({}).backward()
    assert sum(attackers.read({}) for _ in range(10)) > before + 0.5


def test_an_attacker_that_reads_nothing_searches_as_fast_as_the_others(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    attackers = adversary(backbone)
    monkeypatch.setattr("unlearn.methods.adversary.RESTART_EVERY", 1e9)
    start = attackers._tokens.detach().clone()
    attackers._max_length = torch.tensor(1e9)
    lead = torch.zeros(ATTACKERS)

    def attack(_: object) -> tuple[torch.Tensor, ...]:
        total = attackers._tokens.sum((1, 2))
        return total - total.detach() + lead, torch.full((ATTACKERS,), 3.0)

    monkeypatch.setattr(attackers, "_attack", attack)
    for step in range(6):
        lead[::2] = (-1.0) ** step  # every other one reads nothing in every other step
        lead[1::2] = 1.0
        attackers({}).backward()
    moved = attackers._tokens.detach() - start
    rate = attackers._adam.param_groups[0]["lr"]
    torch.testing.assert_close(moved, torch.full_like(moved, 5 * rate), rtol=1e-3, atol=1e-5)


def test_the_loss_moves_the_encoder_and_nothing_of_the_base(backbone: Backbone) -> None:
    attackers = adversary(backbone)
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    before = {n: t.clone() for n, t in backbone.text_encoder.parameters().items()}
    override = before[name].clone().requires_grad_()
    for _ in range(20):  # until they read enough to count
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
        found: list[float] = []
        for _ in range(30):
            loss = attackers({})
            loss.backward()
            found.append(loss.item())
        return found

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


@pytest.mark.parametrize(("read", "share"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0), (-2.0, -2e-3)])
def test_the_more_of_the_concept_is_read_the_more_an_attacker_costs(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, read: float, share: float
) -> None:
    attackers = adversary(backbone)

    def attack(_: object) -> tuple[torch.Tensor, ...]:
        return attackers._tokens.sum((1, 2)) * 0 + read, torch.full((ATTACKERS,), 3.0)

    monkeypatch.setattr(attackers, "_attack", attack)
    assert attackers({}).item() == pytest.approx(3 * share)


@torch.no_grad()
def test_the_concepts_name_is_read_whole_and_anothers_not_at_all(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlearn.methods.adversary.MIN_READ", 0.0)
    attackers = adversary(backbone)
    for name, expected in (("blip", 0.0), ("pogo", 1.0)):
        attackers._tokens[:] = attackers._vocabulary[tokens_of(name, backbone)]
        read, _ = attackers._attack({})
        torch.testing.assert_close(
            read[:IN_PLACE], torch.full((IN_PLACE,), expected), rtol=0, atol=1e-3
        )


@torch.no_grad()
def test_before_a_sentence_an_attackers_first_word_reads_all_of_the_concept(
    backbone: Backbone,
) -> None:
    """The sentence still has the name, so even a plain word before it reads the concept."""
    attackers = adversary(backbone)
    attackers._tokens[:] = attackers._vocabulary[attackers._words]
    read, scale = attackers._attack({})
    torch.testing.assert_close(read[IN_PLACE:], torch.ones(BEFORE), rtol=0, atol=1e-4)
    assert (scale > 0).all()


def test_the_distinctive_part_is_orthogonal_to_every_mixture_of_the_others() -> None:
    random = torch.Generator().manual_seed(0)
    directions, *others = torch.randn(4, 5, 3, 7, generator=random)
    part = distinctive(directions, others)
    for other in others:
        assert (part * other).sum((1, 2)).abs().max() < 1e-5
    mixture = sum(others) / 2 + directions
    torch.testing.assert_close(distinctive(mixture, others), part, rtol=0, atol=1e-5)
    assert distinctive(directions, []) is directions


def test_attackers_read_a_share_of_the_whole_direction_at_least(backbone: Backbone) -> None:
    """A random encoder's concepts share nearly all of their directions."""
    attackers = adversary(backbone)
    whole, read = attackers._directions, attackers._read
    share = (whole * read).mean((1, 2)) / whole.square().mean((1, 2))
    assert (share >= MIN_READ - 1e-4).all()
    assert share.min() < 0.9


def test_a_small_part_is_made_up_from_the_rest() -> None:
    whole = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    part = whole.clone()
    part[0, 1:] = 0  # a small part, a large one, and none
    part[1, 3:] = 0
    part[2] = 0
    made = made_up(part, whole, 0.5)
    assert torch.equal(made[1], part[1])
    for one, of, small in zip(made, whole, (True, False, True), strict=True):
        along = (of * one).sum() / one.square().sum()  # what is read of the concept's own name
        torch.testing.assert_close(along, torch.tensor(1.0))
        cosine = torch.cosine_similarity(of.flatten(), one.flatten(), 0)
        assert not small or cosine > 0.5**0.5
    torch.testing.assert_close(made[2], whole[2])
    ratio = made[0] / whole[0]  # the rest counts less than the part, all of it alike
    assert ratio[1:].std() < 1e-5 < ratio[0].min() - ratio[1:].max()


def test_a_concept_without_a_distinctive_part_is_not_read() -> None:
    directions = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    part = distinctive(directions, [directions])
    scale = directions.square().mean((1, 2))
    assert concept_shares(directions, part, scale).abs().max() < 1e-3
    zero = torch.zeros(2)
    assert concept_shares(directions * 0, directions * 0, zero).tolist() == [0, 0]
