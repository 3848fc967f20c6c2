"""Stages: the pairs that a verdict by its interval takes, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearn.trial.intervals import paired_drop, wilson
from unlearn.trial.sequential import ALPHA
from unlearn.trial.stages import fewest, staged_verdict, stages, supported, too_many

LIMITS = st.sampled_from([0.01, 0.03, 0.05, 0.1, 0.2, 0.5])


@pytest.mark.parametrize(
    ("rate", "misses", "pairs"),
    [(0.9, 0, 35), (0.9, 1, 55), (0.95, 0, 73), (0.97, 0, 125), (0.97, 1, 185), (0.97, 2, 247)],
)
def test_how_many_pairs_support_a_rate(rate: float, misses: int, pairs: int) -> None:
    assert fewest(1 - rate, misses) == pairs
    assert supported(misses, pairs, 1 - rate)
    assert not supported(misses, pairs - 1, 1 - rate)
    assert wilson(pairs - misses, pairs)[0] >= rate
    if misses == 0 or rate == 0.97:  # here the interval decides, later the error that is left
        assert (wilson(pairs - 1 - misses, pairs - 1)[0] < rate) == (misses < 2)


@given(LIMITS, st.integers(0, 8))
def test_a_passed_stages_interval_lies_within_the_limit(limit: float, misses: int) -> None:
    pairs = fewest(limit, misses)
    if pairs is not None:
        assert wilson(misses, pairs)[1] <= limit


@pytest.mark.parametrize("limit", [0.03, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("worse", [1.0, 1.3, 2.0])
def test_the_error_is_exact_and_below_what_is_stated(limit: float, worse: float) -> None:
    """Compute how probably a rate of misses beyond the limit ever passes, looking every time."""
    rate, still, passed = min(1.0, limit * worse), np.array([1.0]), 0.0
    for n in range(1, 401):
        still = np.append(still, 0.0) * (1 - rate) + np.append(0.0, still) * rate
        for misses in range(min(n, 60) + 1):
            if still[misses] and supported(misses, n, limit):
                passed += still[misses]
                still[misses] = 0.0
    assert 0 < passed <= ALPHA if worse == 1.0 else passed <= ALPHA
    if worse == 1.0:
        assert passed > 0.6 * ALPHA  # the error that is allowed is used


@given(LIMITS, st.integers(1, 300), st.integers(0, 20), st.integers(0, 300))
def test_it_fails_exactly_when_no_further_pairs_could_pass(
    limit: float, n: int, misses: int, left: int
) -> None:
    misses = min(misses, n)
    answer = staged_verdict(misses, n, left, limit)
    could = any(supported(misses, n + more, limit) for more in range(left + 1))
    assert answer == ("pass" if supported(misses, n, limit) else None if could else "fail")


@given(LIMITS, st.integers(1, 400), st.integers(0, 20))
def test_a_miss_never_helps_and_a_hit_never_harms(limit: float, n: int, misses: int) -> None:
    if supported(misses + 1, n + 1, limit):
        assert supported(misses, n, limit) or supported(misses, n + 1, limit)
    if supported(misses, n, limit):
        assert supported(misses, n + 1, limit)


def test_a_longer_plan_has_the_same_stages() -> None:
    assert stages(0.03, 300) == tuple(n for n in stages(0.03, 900) if n <= 300)


@given(st.integers(1, 40), st.sampled_from([0.05, 0.1, 0.25]), st.integers(1, 20))
def test_the_worst_of_several_may_lose_what_chance_explains(
    n: int, limit: float, looks: int
) -> None:
    """The chance that any of so many, each just at the limit, fails is at most `ALPHA`."""
    critical = too_many(n, limit, looks=looks)
    random = np.random.default_rng(n)
    worst = random.binomial(n, limit, (4000, looks)).max(1)
    assert (worst >= critical).mean() <= ALPHA + 0.015
    assert too_many(n, limit, looks=looks + 5) >= critical
    assert 0 <= too_many(n + 1, limit, looks=looks) - critical <= 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_drop_is_never_more_than_the_share_lost(pairs: list[tuple[bool, bool]]) -> None:
    drop, low, high = paired_drop([b for b, _ in pairs], [e for _, e in pairs])
    lost = sum(b and not e for b, e in pairs) / len(pairs)
    assert low - 1e-9 <= drop <= high + 1e-9
    assert drop <= lost + 1e-9
