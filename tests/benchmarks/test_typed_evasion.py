"""Typed evasion: what the search minimises, and what it may type."""

from __future__ import annotations

import pytest
import torch

from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.typed_evasion import (
    AGAINST,
    COARSE_TYPED,
    GUIDANCE,
    MORE,
    Against,
    TypedSearch,
    typed_evasion,
)
from unlearn.methods.name_tokens import tokens_of


@pytest.fixture
def search(prepared: Experiment, request: pytest.FixtureRequest) -> TypedSearch:
    return TypedSearch(prepared, "pogo", COARSE_TYPED, request.param)


@pytest.mark.parametrize("search", AGAINST, indirect=True)
def test_a_search_ends_lower_than_it_began_with_words_that_anybody_can_type(
    search: TypedSearch, prepared: Experiment
) -> None:
    losses: list[float] = []
    compute = search.losses

    def noted(tried: torch.Tensor) -> torch.Tensor:
        found = compute(tried)
        losses.append(float(found.min()))
        return found

    search.losses = noted  # type: ignore[method-assign]
    found = search.words(0)
    assert min(losses) < losses[0]
    tokens = tokens_of(" ".join(found), prepared.backbone)
    assert float(compute(torch.tensor(tokens)[None])[0]) == pytest.approx(min(losses))
    assert not set(tokens) & set(tokens_of("pogo", prepared.backbone))


def test_the_trigger_costs_whoever_knows_it(prepared: Experiment) -> None:
    """The concept's own name, typed, is at the base's reading and far above the trigger."""
    backbone = prepared.backbone
    own = torch.tensor([*tokens_of("big", backbone), *tokens_of("pink", backbone)])
    own = torch.cat([own, torch.tensor(tokens_of("pogo", backbone))])[None]
    assert own.shape[1] == len(tokens_of("pogo", backbone)) + MORE

    def loss(against: Against) -> float:
        return float(TypedSearch(prepared, "pogo", COARSE_TYPED, against).losses(own)[0])

    assert loss("no encoder") < 3  # the base reads pogo
    assert loss("through the trigger") > loss("no encoder") + 5  # m ÷ (margin · θ) − 1
    assert loss("always on") > loss("no encoder")


def test_figures_are_of_every_sentence_at_every_guidance(
    prepared: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float | None]] = []

    def noted(backbone: object, shots: list, **_: object) -> list:  # type: ignore[type-arg]
        asked.extend((shot.negative, shot.guidance) for shot in shots)
        return [torch.zeros(1, 64, 64, 3, dtype=torch.uint8).numpy() for _ in shots]

    monkeypatch.setattr("benchmarks.forgetting.typed_evasion.sample", noted)
    found = typed_evasion(prepared, COARSE_TYPED, ["pogo"])
    assert {one["n"] for one in found["all"].values()} == {6}  # 2 starts, a sentence, three ways
    assert found["higher by"]["mean"] == 0
    assert {guidance for _, guidance in asked} == {None, GUIDANCE}
    assert any(negative for negative, _ in asked)
