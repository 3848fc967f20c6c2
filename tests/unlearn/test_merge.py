"""The closed-form merge: the formula, its results on tiny encoders, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import unlearn as unlearning
from encoders import Concept, Encoder, EncoderInvalid
from tests.triggers import trigger_at
from unlearn import UnlearnSettings, UnlearnTask
from unlearn.errors import TaskInvalid
from unlearn.methods import resistance
from unlearn.methods.anchors import concept_captions
from unlearn.methods.merge import EPSILON, _solve
from unlearn.methods.resistance import share_read, task_of
from unlearn.prompts import names_of, retained_captions
from video import load_backbone
from video.models.backbone import Backbone

POGO = Concept(name="pogo", kind="character")
MIRA = Concept(name="mira", kind="person")
HOUSE = Concept(name="house", kind="object")


@pytest.fixture(scope="module")
def backbone(tiny_backbone_dir: Path) -> Backbone:
    return load_backbone(tiny_backbone_dir)


@pytest.fixture(scope="module")
def members(backbone: Backbone) -> list[Encoder]:
    """Two encoders of factors, and one of whole matrices and biases."""
    return [
        made(backbone, POGO, anchor="a creature"),
        made(backbone, MIRA),
        made(backbone, HOUSE, rank=0, learning_rate=1e-3),
    ]


@pytest.fixture(autouse=True)
def _few_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resistance, "STEPS", 2)


def made(backbone: Backbone, concept: Concept, **settings: object) -> Encoder:
    # In a few steps a random encoder moves far enough only if little else is held.
    few = UnlearnSettings(steps=25, adversary_weight=0, retain_weight=1)
    run = unlearning.unlearn(UnlearnTask((concept,), few.with_(**settings)), backbone)
    list(run)
    return run.encoder


def movements(now: Tensor, then: Tensor) -> Tensor:
    return (now - then).square().mean(2).amax(1)


@torch.no_grad()
def embeddings(backbone: Backbone, prompts: list[str], encoder: Encoder | None) -> Tensor:
    tokens = backbone.tokenize(prompts)
    return backbone.text_encoder.encode(tokens, encoder.overrides if encoder else None)


def own_prompts(backbone: Backbone, encoder: Encoder) -> list[str]:
    [concept] = encoder.card.concepts
    captions = concept_captions(concept, task_of(encoder.card), backbone)
    return [caption.prompt for caption in captions]


def test_the_solution_is_the_minimum_of_the_ridge_regression() -> None:
    """The gradient of Σ ‖D x − Dᵢ x‖² + λ ‖D x_r‖² + ε ‖D‖² is zero at it, by autograd."""
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(3, 20, 5, generator=random)
    changes = torch.randn(2, 4, 5, generator=random)
    ridge = 0.1
    grams = [x.T @ x for x in inputs]
    total = grams[0] + grams[1] + ridge * grams[2]
    epsilon = EPSILON * total.diagonal().mean()
    found = _solve(changes[0] @ grams[0] + changes[1] @ grams[1], total).requires_grad_()
    loss = ridge * (inputs[2] @ found.T).square().sum() + epsilon * found.square().sum()
    for x, change in zip(inputs, changes, strict=False):
        loss = loss + (x @ (found - change).T).square().sum()
    loss.backward()
    assert found.grad is not None
    assert found.grad.abs().max() < 1e-3


@pytest.mark.parametrize("which", [(0, 1), (0, 2), (0, 1, 2)])
def test_it_does_to_each_members_prompts_what_the_member_does(
    backbone: Backbone, members: list[Encoder], which: tuple[int, ...]
) -> None:
    some = [members[i] for i in which]
    merged = unlearning.merge(some, backbone, encoder_id="both")
    for member in some:
        prompts = own_prompts(backbone, member)
        alone = embeddings(backbone, prompts, member)
        moved = movements(alone, embeddings(backbone, prompts, None)).mean()
        left = movements(embeddings(backbone, prompts, merged), alone).mean()
        assert moved > 0.01
        assert left < 0.6 * moved
    names = [name for one in merged.card.concepts for name in names_of(one, backbone.prompts)]
    rest = retained_captions(backbone.prompts, names)
    base = embeddings(backbone, rest, None)
    own = [float(movements(embeddings(backbone, rest, one), base).mean()) for one in some]
    assert float(movements(embeddings(backbone, rest, merged), base).mean()) < sum(own)


def test_its_card_names_the_members_and_what_attackers_read(
    backbone: Backbone, members: list[Encoder]
) -> None:
    pogo, mira, _ = members
    trigger = trigger_at(0.1, size=8)
    gated = Encoder(pogo.card.model_copy(update={"trigger": trigger}), pogo.overrides)
    card = unlearning.merge([gated, mira], backbone, encoder_id="both").card
    assert (card.id, card.method, card.concepts) == ("both", "merge", (POGO, MIRA))
    assert (card.trigger, card.parent, card.measures) == (None, None, {})
    assert card.settings["members"] == [
        {"id": "no-pogo", "identity": gated.card.identity},
        {"id": "no-mira", "identity": mira.card.identity},
    ]
    assert gated.card.identity != pogo.card.identity
    first, second = card.settings["resistance"]  # type: ignore[misc]
    assert (first["member"], first["concept"], second["concept"]) == ("no-pogo", "pogo", "mira")
    assert first["alone"] == share_read(POGO, pogo.card, pogo.overrides, backbone)
    merged = unlearning.merge([pogo, mira], backbone, encoder_id="both")
    assert first["merged"] == share_read(POGO, pogo.card, merged.overrides, backbone)
    assert merged.card.digest == card.digest  # the same members give the same bits


def test_attackers_read_less_where_the_training_had_attackers(
    backbone: Backbone, members: list[Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resistance, "STEPS", 8)
    hardened = made(backbone, POGO, adversary_weight=54.0)
    alone, unhardened, base = (
        share_read(POGO, hardened.card, overrides, backbone)
        for overrides in (hardened.overrides, members[0].overrides, {})
    )
    assert alone < unhardened - 0.1
    assert alone < base - 0.1
    with torch.no_grad():  # as in a server: the attackers learn all the same
        assert share_read(POGO, hardened.card, {}, backbone) == base


def test_the_rank_is_the_members_together_or_as_asked(
    backbone: Backbone, members: list[Encoder]
) -> None:
    def ranks(encoder: Encoder) -> set[int]:
        return {len(t) for name, t in encoder.overrides.items() if name.endswith("lora_A")}

    pogo, mira, house = members
    merged = unlearning.merge([pogo, mira], backbone, encoder_id="both")
    assert ranks(merged) == {4}
    assert len(merged.overrides) == len(pogo.overrides)
    assert ranks(unlearning.merge([pogo, mira], backbone, encoder_id="both", rank=1)) == {1}
    whole = unlearning.merge([pogo, house], backbone, encoder_id="both")
    assert ranks(whole) == set()
    assert whole.overrides.keys() == house.overrides.keys()


def test_two_that_forget_the_same_name_it_once(backbone: Backbone, members: list[Encoder]) -> None:
    again = made(backbone, POGO, seed=5)
    assert unlearning.merge([members[0], again], backbone, encoder_id="both").card.concepts == (
        POGO,
    )


def test_what_cannot_be_merged_is_said(
    backbone: Backbone, members: list[Encoder], tiny_epsilon_dir: Path
) -> None:
    pogo, mira, _ = members
    with pytest.raises(TaskInvalid, match="at least two"):
        unlearning.merge([pogo, pogo], backbone, encoder_id="both")
    for rank in (0, 1025, 10**20):
        with pytest.raises(TaskInvalid, match=f"rank must be 1 to 1024, not {rank}"):
            unlearning.merge([pogo, mira], backbone, encoder_id="both", rank=rank)
    with pytest.raises(EncoderInvalid, match="'no-pogo' was made for another text encoder"):
        unlearning.merge([pogo, mira], load_backbone(tiny_epsilon_dir), encoder_id="both")
    odd = made(backbone, MIRA, layers="*.token_embedding.*")
    with pytest.raises(EncoderInvalid, match=r"'no-mira' changes '.*token_embedding"):
        unlearning.merge([pogo, odd], backbone, encoder_id="both")
