"""Intervals that hold at every look: they do, and they are no wider than they have to be."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from random import Random

import pytest

from unlearn.trial.anytime import difference_interval, mean_interval

ALPHA = 0.05
LOOKS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)


@cache
def ends(k: int, n: int) -> tuple[float, float]:
    return mean_interval(k, n, alpha=ALPHA)


def test_without_outcomes_nothing_is_known() -> None:
    assert mean_interval(0, 0, alpha=ALPHA) == (0, 1)
    assert difference_interval(0, 0, 0, alpha=ALPHA) == (-1, 1)


def test_an_end_is_where_the_bettors_have_made_one_in_alpha() -> None:
    """Compute Krichevsky and Trofimov's mixture for three misses in three by its closed form."""
    mixture = Fraction(1, 2) * Fraction(3, 2) * Fraction(5, 2) / 6
    low, high = ends(0, 3)
    assert low == 0
    assert float(mixture) / (1 - high) ** 3 == pytest.approx(1 / ALPHA, rel=1e-6)


def test_the_two_sides_mirror_each_other() -> None:
    for k, n in [(0, 5), (2, 9), (50, 60)]:
        (low, high), (mirrored_low, mirrored_high) = ends(k, n), ends(n - k, n)
        assert (low, high) == pytest.approx((1 - mirrored_high, 1 - mirrored_low), abs=1e-9)
    up, down = (
        difference_interval(7, 2, 20, alpha=ALPHA),
        difference_interval(2, 7, 20, alpha=ALPHA),
    )
    assert up == pytest.approx((-down[1], -down[0]), abs=1e-9)


def test_more_outcomes_tighten_an_interval() -> None:
    widths = [high - low for low, high in (ends(9 * n // 10, n) for n in (10, 100, 1000, 10_000))]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.03
    for k, n in [(9, 10), (9000, 10_000)]:
        assert ends(k, n)[0] < k / n < ends(k, n)[1]


@pytest.mark.parametrize("p", [0.5, 0.9, 0.97])
def test_the_mean_is_hardly_ever_missed_however_often_one_looks(p: float) -> None:
    draw, missed, runs = Random(f"looks {p}"), 0, 200
    for _ in range(runs):
        k = 0
        for n in range(1, LOOKS[-1] + 1):
            k += draw.random() < p
            if n in LOOKS and not ends(k, n)[0] <= p <= ends(k, n)[1]:
                missed += 1
                break
    assert missed <= ALPHA * runs + 3  # more has a chance below 1 in 50 at the very limit


def test_a_difference_is_hardly_ever_missed() -> None:
    draw, missed, runs = Random("differences"), 0, 40
    for _ in range(runs):
        up = down = 0
        for n in range(1, 90):
            turn = draw.random()
            up, down = up + (turn < 0.15), down + (turn > 0.95)
            if n in LOOKS:
                low, high = difference_interval(up, down, n, alpha=ALPHA)
                if not low <= 0.1 <= high:
                    missed += 1
                    break
    assert missed <= 5


def test_a_plain_difference_is_soon_found() -> None:
    assert difference_interval(10, 0, 10, alpha=ALPHA)[0] > 0.1
    assert difference_interval(0, 0, 10, alpha=ALPHA)[0] < 0
