"""The sequential test: its guarantee, by calculation and by simulation, and when it stops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearn.trial.sequential import ALPHA, BETA, exceeds, verdict, zone

LIMITS = st.floats(0.0, 1.0)
COUNTS = st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def chances(
    rate: float, limit: float, looks: list[int], beta: float = BETA
) -> tuple[float, float, np.ndarray]:
    """Compute exactly how probably a rate of misses is ever passed, and ever failed.

    The test is asked after each number of outcomes in `looks`, until it is clear.

    Returns:
        The two probabilities, and that of each number of misses where it is never clear.
    """
    still = np.array([1.0])
    passed = failed = 0.0
    before = 0
    for n in looks:
        for _ in range(n - before):
            still = np.append(still, 0.0) * (1 - rate) + np.append(0.0, still) * rate
        before = n
        for misses in range(n + 1):
            answer = verdict(misses, n, limit, beta=beta)
            if answer is not None:
                passed += still[misses] if answer == "pass" else 0.0
                failed += still[misses] if answer == "fail" else 0.0
                still[misses] = 0.0
    return passed, failed, still


def published(rate: float) -> float:
    """Compute the probability that the default gate, with at most 32 probes, passes a rate."""
    passed, _, open_yet = chances(rate, 0.1, list(range(4, 33, 4)), BETA / 3)
    return passed + open_yet[: int(0.1 * 32) + 1].sum()


def test_the_zone_of_the_default_limit_is_what_the_documents_say() -> None:
    assert zone(0.1) == pytest.approx((0.0357, 0.25), abs=1e-4)
    assert zone(0.5) == pytest.approx((0.25, 0.75))


@pytest.mark.parametrize("limit", [0.02, 0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("every", [1, 4])
def test_both_errors_stay_below_what_is_stated_however_often_one_looks(
    limit: float, every: int
) -> None:
    acceptable, unacceptable = zone(limit)
    looks = list(range(every, 121, every))
    assert 0 < chances(unacceptable, limit, looks)[0] <= ALPHA
    assert chances(min(1.0, unacceptable * 1.1), limit, looks)[0] <= ALPHA
    assert 0 < chances(acceptable, limit, looks)[1] <= BETA
    assert chances(acceptable * 0.9, limit, looks)[1] <= BETA


def test_the_errors_in_a_simulation_where_chances_vary_from_probe_to_probe() -> None:
    """Let each probe have its own rate of misses, all unacceptable or all acceptable.

    Clips, for instance, show a concept more often than stills.
    """
    random = np.random.default_rng(7)
    acceptable, unacceptable = zone(0.1)
    for rates, wrong, most in (
        (random.uniform(unacceptable, 0.4, 60), "pass", ALPHA),
        (random.uniform(0, acceptable, 60), "fail", BETA),
    ):
        misses = np.cumsum(random.random((1000, 60)) < rates, axis=1)
        first = [
            next((v for n in range(60) if (v := verdict(int(run[n]), n + 1, 0.1))), None)
            for run in misses
        ]
        assert first.count(wrong) / len(first) <= most
        assert sum(answer is not None for answer in first) > 0.9 * len(first)


def test_with_its_limit_it_tells_as_well_as_a_fixed_plan_of_sixteen() -> None:
    """Sixteen probes of which one may be a miss: what the same threshold means without stopping."""

    def fixed(rate: float) -> float:
        return (1 - rate) ** 16 + 16 * rate * (1 - rate) ** 15

    acceptable, unacceptable = zone(0.1)
    assert published(unacceptable) < fixed(unacceptable) < 0.07
    assert published(acceptable) > 0.97 > fixed(acceptable)
    assert published(0.5) < 1e-3


@pytest.mark.parametrize(("limit", "n"), [(0.1, 12), (0.05, 24), (0.03, 39), (0.5, 3)])
def test_how_many_outcomes_without_a_miss_are_enough(limit: float, n: int) -> None:
    assert verdict(0, n - 1, limit) is None
    assert verdict(0, n, limit) == "pass"


def test_what_always_goes_wrong_is_told_within_the_first_round() -> None:
    assert verdict(4, 4, 0.1) == "fail"
    assert verdict(1, 1, 0.1) is None


@given(COUNTS, LIMITS)
def test_an_answer_never_contradicts_the_rate_so_far(counts: tuple[int, int], limit: float) -> None:
    answer = verdict(*counts, limit)
    if answer is not None:
        assert (answer == "fail") == exceeds(*counts, limit)


def test_a_rate_just_above_its_limit_is_not_passed_however_long_it_lasts() -> None:
    """Between limit and unacceptable the likelihood ratio alone would pass it."""
    assert verdict(108, 1000, 0.1) is None
    assert verdict(99, 1000, 0.1) == "pass"


@given(COUNTS, LIMITS)
def test_a_miss_never_helps_and_a_hit_never_harms(counts: tuple[int, int], limit: float) -> None:
    order = {"fail": 0, None: 1, "pass": 2}
    misses, n = counts
    now = order[verdict(misses, n, limit)]
    assert order[verdict(misses + 1, n + 1, limit)] <= now
    assert order[verdict(misses, n + 1, limit)] >= now


@given(COUNTS, LIMITS)
def test_a_smaller_part_of_the_error_only_makes_it_wait(
    counts: tuple[int, int], limit: float
) -> None:
    strict = verdict(*counts, limit, alpha=ALPHA / 5, beta=BETA / 5)
    assert strict in (verdict(*counts, limit), None)


def test_limits_at_the_ends() -> None:
    assert verdict(0, 0, 1.0) == verdict(9, 9, 1.0) == "pass"
    assert verdict(0, 113, 0.0) is None
    assert verdict(0, 114, 0.0) == "pass"
    assert verdict(3, 3, 0.0) == "fail"
    assert not exceeds(1, 10, 1 - 0.9)
