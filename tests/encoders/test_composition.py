"""Composition: which members take part in a prompt's embedding, and what they make of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from encoders import Concept
from encoders.composition import Member, compose, decide, set_identity
from encoders.trigger import ConceptTrigger, Trigger, movements
from tests.triggers import trigger_at

LENGTH, SIZE = 5, 8


def member(name: str, threshold: float | None = 0.5, concept: str | None = None) -> Member:
    concepts = (Concept(name=concept or name, kind="character", synonyms=(f"the {name}",)),)
    found = trigger_at(threshold, size=SIZE).detector() if threshold is not None else None
    return Member(f"sha256:{name}", {}, found, concepts)


def noise(seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(1, LENGTH, SIZE, generator=torch.Generator().manual_seed(seed))


def test_a_movement_is_the_largest_of_all_positions() -> None:
    change = torch.zeros(2, LENGTH, SIZE)
    change[0, 3] = 2.0
    change[1, 0, 0] = 4.0
    directions = torch.eye(SIZE)[:2]
    assert movements(change, directions).tolist() == [8.0, 16.0]
    assert movements(change, directions[1:]).tolist() == [4.0, 0.0]


@pytest.mark.parametrize(("size", "is_open"), [(0.9, False), (1.1, True), (float("nan"), True)])
def test_a_change_that_is_long_enough_opens_in_any_direction(size: float, is_open: bool) -> None:
    """An embedding of no word is moved far, but not where the concept's own prompts are."""
    elsewhere = torch.zeros(1, LENGTH, SIZE)
    elsewhere[0, 2, 7] = 2 * size
    along = torch.eye(SIZE)[:1]
    for length, opens in ((None, is_open and size != size), (4.0, is_open)):
        trigger = Trigger(concepts=(ConceptTrigger.of(along, 0.5, length),))
        read = Trigger.model_validate_json(trigger.model_dump_json())
        base = torch.zeros_like(elsewhere)
        assert (read.detector().movement(base, elsewhere) >= 1) is opens


@pytest.mark.parametrize(
    ("movement", "is_open"), [(0.0, False), (0.0999, False), (0.1001, True), (float("nan"), True)]
)
def test_the_lowest_threshold_opens(movement: float, is_open: bool) -> None:
    base = torch.zeros(1, LENGTH, SIZE)
    detector = trigger_at(0.7, 0.1, 0.3, size=SIZE).detector()
    moved = torch.full_like(base, movement**0.5)
    assert (detector.movement(base, moved) >= 1) is is_open
    assert (detector.movement(base.half(), moved.half()) >= 1) is is_open


def test_a_decision_says_how_far_the_prompt_was_moved() -> None:
    base, moved = torch.zeros(1, LENGTH, SIZE), torch.zeros(1, LENGTH, SIZE)
    moved[0, 4] = 1.0
    decision = decide(base, moved, member("a"))
    assert (decision.identity, decision.is_open) == ("sha256:a", True)
    assert decision.movement == pytest.approx(2)
    read = torch.tensor([True] * 4 + [False])
    assert not decide(base, moved, member("a"), is_read=read).is_open
    assert not decide(base, moved, member("a"), is_empty=True).is_open
    always_on = member("a", None)
    assert decide(base, base, always_on).is_open
    assert decide(base, base, always_on, is_empty=True).is_open


def test_none_and_one_are_returned_themselves() -> None:
    base, moved = noise(0), noise(1)
    assert compose(base, []) is base
    assert compose(base, [(member("a"), moved)]) is moved


@given(seed=st.integers(0, 1000), count=st.integers(2, 5))
def test_the_differences_of_several_are_added(seed: int, count: int) -> None:
    base = noise(seed)
    parts = [(member(str(i)), base + noise(seed + 1 + i)) for i in range(count)]
    expected = base + sum((moved - base for _, moved in parts), start=torch.zeros(()))
    torch.testing.assert_close(compose(base, parts), expected)


@pytest.mark.parametrize("other", ["pogo", "POGO ", "the a"])
def test_members_of_one_concept_do_not_move_it_twice(other: str) -> None:
    """Equal members are one; of another one only what the first has not done is added."""
    base = noise(0)
    first, second = member("a", concept="pogo"), member("b", concept=other)
    moved = base + noise(1)
    torch.testing.assert_close(compose(base, [(first, moved), (second, moved)]), moved)
    across = noise(2)
    change = noise(1)
    across -= (across * change).sum(2, keepdim=True) / change.square().sum(2, keepdim=True) * change
    found = compose(base, [(first, moved), (second, moved + across)])
    torch.testing.assert_close(found, moved + across)


@pytest.mark.parametrize("share", [0.01, 0.5, -0.01, -0.5])
@pytest.mark.parametrize("is_weak_first", [True, False])
def test_of_two_members_of_one_concept_the_stronger_change_stands(
    share: float, is_weak_first: bool
) -> None:
    base, change = noise(0), noise(1)
    weak, strong = base + share * change, base + change
    moved = [weak, strong] if is_weak_first else [strong, weak]
    parts = [(member(name, concept="pogo"), each) for name, each in zip("ab", moved, strict=True)]
    torch.testing.assert_close(compose(base, parts), strong)


def test_other_concepts_are_added_whole() -> None:
    base, change = noise(0), noise(1)
    parts = [(member("a"), base + change), (member("b"), base + change)]
    torch.testing.assert_close(compose(base, parts), base + 2 * change)


def test_a_member_that_does_not_move_a_position_divides_by_nothing() -> None:
    base = noise(0)
    still, moving = member("a", concept="x"), member("b", concept="x")
    moved = base + noise(1)
    torch.testing.assert_close(compose(base, [(still, base.clone()), (moving, moved)]), moved)


@pytest.mark.parametrize("order", list(permutations(["sha256:a", "sha256:b", "sha256:c"])))
def test_a_set_has_one_identity_whatever_its_order(order: Sequence[str]) -> None:
    assert set_identity(order) == set_identity([*sorted(order), order[0]])
    assert set_identity(order) != set_identity(order[:2])


def test_a_set_of_one_is_its_member_and_none_is_the_base() -> None:
    assert set_identity(["sha256:a"]) == "sha256:a"
    assert set_identity([]) is None
