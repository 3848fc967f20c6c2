"""SPEED's closed form: what it leaves alone, what it moves, and that it is the minimum."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.forgetting.baselines import null_space as speed
from benchmarks.forgetting.baselines.cross_attention import cross_attention
from encoders import Kind
from tests.benchmarks.help import same, weights_of
from video.models.backbone import Backbone

TWO: list[tuple[str, Kind]] = [("pogo", "character"), ("neonix", "style")]
INPUTS = 12


def random_problem(edits: int, kept: int, invariants: int, seed: int) -> tuple[Tensor, ...]:
    """Return W, C₁, C*, the preserved embeddings and C₂."""
    random = torch.Generator().manual_seed(seed)
    counts = (5, edits, edits, kept, invariants)
    return tuple(torch.randn(n, INPUTS, generator=random).double() for n in counts)


@given(
    edits=st.integers(1, 6),
    kept=st.integers(1, 6),
    invariants=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_the_change_is_the_minimum_and_keeps_what_it_has_to(
    edits: int, kept: int, invariants: int, seed: int
) -> None:
    w, c, a, p, c2 = random_problem(edits, kept, invariants, seed)
    change = speed.solve_delta(w, c, a, speed.null_space(p), c2)
    for fixed in (p, c2):
        torch.testing.assert_close(change @ fixed.T, torch.zeros(5, len(fixed)).double())
    # At the minimum the objective's gradient has no part along any allowed direction.
    gradient = ((w + change) @ c.T - w @ a.T) @ c + speed.REGULARISER * edits * change
    _, _, rows = torch.linalg.svd(torch.cat([p, c2]))
    allowed = rows[kept + invariants :]
    along = gradient @ allowed.T
    torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-8, rtol=0)


def test_without_a_regulariser_targets_get_the_values_of_their_destinations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "REGULARISER", 1e-10)
    w, c, a, p, c2 = random_problem(3, 5, 2, 0)
    edited = w + speed.solve_delta(w, c, a, speed.null_space(p), c2)
    torch.testing.assert_close(edited @ c.T, w @ a.T, atol=1e-5, rtol=0)


def test_an_invariant_that_is_preserved_already_changes_nothing() -> None:
    w, c, a, p, _ = random_problem(3, 5, 1, 1)
    projector = speed.null_space(p)
    free = speed.solve_delta(w, c, a, projector, torch.zeros(1, INPUTS).double())
    again = speed.solve_delta(w, c, a, projector, p[:1])
    torch.testing.assert_close(again, free)


def test_the_erasing_change_is_the_minimum_of_its_equation() -> None:
    w, c, a, _, _ = random_problem(4, 1, 1, 2)
    change = speed.erasing_change(w, c, a)
    gradient = ((w + change) @ c.T - w @ a.T) @ c + change
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def test_augmented_embeddings_are_those_that_move_and_keep_their_values() -> None:
    w, c, a, p, _ = random_problem(3, 6, 1, 3)
    w = torch.cat([w, torch.randn(INPUTS, INPUTS, generator=torch.Generator().manual_seed(4))])
    found = speed.refined(w, c, a, p, torch.Generator().manual_seed(0))
    assert torch.equal(found[: len(p)], p)
    augmented = found[len(p) :]
    assert 0 < len(augmented) < speed.AUGMENTED * len(p)
    least = torch.linalg.svdvals(w)[-1]
    for one in augmented:
        noise = one - p[torch.cdist((w @ one)[None], p @ w.T).argmin()]
        assert noise.norm() > 0
        torch.testing.assert_close((w @ noise).norm(), least * noise.norm())


def test_the_most_moved_are_those_above_the_mean() -> None:
    embeddings = torch.diag(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(speed.most_moved(embeddings, torch.eye(3)), embeddings[2:])


def test_centroids_are_means_of_tokens() -> None:
    tokens = torch.tensor([[0.0], [0.2], [5.0], [5.2], [9.0], [9.2]]).double()
    found = speed.centroids(tokens)
    torch.testing.assert_close(found, torch.tensor([[0.1], [5.1], [9.1]]).double())


def test_speed_edits_the_values_alone(backbone: Backbone) -> None:
    before, weights = cross_attention(backbone), weights_of(backbone)
    edit = speed.speed_edit(backbone, TWO)
    assert set(edit) == {name for name in before if name.endswith("to_v.weight")}
    assert same(weights_of(backbone), weights)
    assert same(speed.speed_edit(backbone, TWO), edit)
