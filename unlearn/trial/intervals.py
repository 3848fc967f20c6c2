"""Intervals of rates, and of the drop of a rate on the same prompts and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

LEVEL = 0.95


def wilson(successes: int, n: int, *, looks: int = 1) -> tuple[float, float]:
    """Compute Wilson's 95 % interval for `successes` in `n` (Wilson 1927); (0, 1) for n = 0.

    With several `looks` all of so many intervals hold together (Bonferroni).
    """
    if n == 0:
        return 0.0, 1.0
    z = 1.959964 if looks == 1 else NormalDist().inv_cdf(1 - (1 - LEVEL) / (2 * looks))
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(successes * (n - successes) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_drop(base: Sequence[bool], now: Sequence[bool]) -> tuple[float, float, float]:
    """Return the drop of a rate on the same prompts and seeds, base minus now, and its interval.

    The interval is Newcombe's 95 % for paired proportions (1998, Statistics in Medicine 17:2635,
    method 10).

    Returns:
        The drop, and the interval's two ends; (0, −1, 1) for none.
    """
    n = len(base)
    if n == 0:
        return 0.0, -1.0, 1.0
    both = sum(b and w for b, w in zip(base, now, strict=True))
    only_base, only_now = sum(base) - both, sum(now) - both
    neither = n - both - only_base - only_now
    first, second = sum(base) / n, sum(now) / n
    (low1, high1), (low2, high2) = wilson(sum(base), n), wilson(sum(now), n)
    product = sum(base) * (n - sum(base)) * sum(now) * (n - sum(now))
    across = both * neither - only_base * only_now
    if across > n / 2:
        across -= n / 2
    elif across > 0:
        across = 0
    phi = across / sqrt(product) if product else 0.0

    def side(a: float, b: float) -> float:
        return sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    drop = first - second
    down, up = side(first - low1, high2 - second), side(high1 - first, second - low2)
    return drop, drop - down, drop + up
