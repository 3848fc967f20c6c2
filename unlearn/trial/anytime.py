"""Intervals for a mean that hold at every look, however often one looks and whenever one stops.

A bettor who takes the mean for q bets against a candidate mean m. The wealth starts at 1, and each
outcome x in [0, 1] multiplies it by

    1 + (q − m) / (m (1 − m)) · (x − m)  =  x · q / m + (1 − x) · (1 − q) / (1 − m).

If m is the mean given all earlier outcomes, this factor has the mean 1, so the wealth is a
non-negative martingale, and so is the average W(m) over any fixed bettors. By Ville's inequality
W(m) *ever* reaches 1/α with probability α at most. The means that were not refuted so far,
{m : W(m) < 1/α}, are therefore a confidence sequence: all of its intervals together contain the
mean with probability 1 − α (Waudby-Smith and Ramdas, "Estimating means of bounded random variables
by betting", Journal of the Royal Statistical Society B 86(1), 2024). The bettors here are the
points of the Chebyshev rule, which stand for the density 1/√(q (1 − q)): for outcomes of 0 and 1
the average is Krichevsky and Trofimov's mixture (IEEE Transactions on Information Theory 27(2),
1981). W is convex in m, so the set is an interval.

Nothing is assumed of the outcomes but that each has the same mean given those before it. Probes
are drawn at random for this (`unlearn.trial.audit_plan`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log, pi, sin

_BETTORS = tuple(sin(pi * (2 * j + 1) / 512) ** 2 for j in range(128))
_HALVINGS = 40


def mean_interval(ones: int, n: int, *, halves: int = 0, alpha: float) -> tuple[float, float]:
    """Return the interval for the mean of n outcomes; (0, 1) for none.

    Args:
        ones: The outcomes that are 1.
        n: All outcomes.
        halves: The outcomes that are 1/2; the others are 0.
        alpha: The largest probability that an interval of the sequence ever misses the mean.
    """
    zeros, limit = n - ones - halves, -log(alpha)

    def wealth(m: float) -> float:
        return _log_wealth(ones, halves, zeros, m)

    # At the average the factors of any bettor have the mean 1, so their product is 1 at most.
    best = (ones + halves / 2) / n if n else 0.5
    return _edge(wealth, best, 0.0, limit), _edge(wealth, best, 1.0, limit)


def difference_interval(up: int, down: int, n: int, *, alpha: float) -> tuple[float, float]:
    """Return the interval for the mean of n outcomes, of which some are 1, some −1, the others 0.

    Args:
        up: The outcomes that are 1.
        down: The outcomes that are −1.
        n: All outcomes.
        alpha: As for `mean_interval`.
    """
    low, high = mean_interval(up, n, halves=n - up - down, alpha=alpha)
    return 2 * low - 1, 2 * high - 1


def _log_wealth(ones: int, halves: int, zeros: int, m: float) -> float:
    """Return log W(m)."""
    if (m <= 0 and ones + halves) or (m >= 1 and zeros + halves):
        return inf
    if not 0 < m < 1:
        return -inf
    logs = [
        ones * log(q / m)
        + zeros * log((1 - q) / (1 - m))
        + halves * log((q / m + (1 - q) / (1 - m)) / 2)
        for q in _BETTORS
    ]
    most = max(logs)
    return most + log(sum(exp(each - most) for each in logs) / len(logs))


def _edge(wealth: Callable[[float], float], inside: float, outside: float, limit: float) -> float:
    """Return the end of the interval between a mean inside it and the end of all means."""
    if wealth(outside) < limit:
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if wealth(middle) < limit:
            inside = middle
        else:
            outside = middle
    return outside
