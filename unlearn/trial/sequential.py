"""A sequential test for a rate of misses: it stops as soon as the answer is clear.

Wald's sequential probability ratio test (A. Wald, "Sequential Tests of Statistical Hypotheses",
Annals of Mathematical Statistics 16(2), 1945, pp. 117 to 186) for a rate of misses. Two rates
enclose the `limit`, `zone(limit)`: one is plainly acceptable, the other plainly not. After n
outcomes, m of them misses, the likelihood ratio of the two is

    L = (unacceptable / acceptable)^m · ((1 − unacceptable) / (1 − acceptable))^(n − m)

and the test says "pass" once 1/L ≥ 1/α, and "fail" once L ≥ 1/β.

**What that guarantees.** While the chance of a miss, given the outcomes before, is at least the
unacceptable rate, 1/L is a non-negative supermartingale that starts at 1, so that it *ever* reaches
1/α with probability α at most (Ville's inequality); likewise L and β while it is at most the
acceptable rate. Hence, however often one looks and whenever one stops: an unacceptable rate is
passed with probability ≤ α, an acceptable one failed with probability ≤ β. (Wald's own bounds,
(1 − β)/α and (1 − α)/β, are a little closer, but hold for the sum of the errors only.) Between
the two rates nothing is promised: there the answer may stay open, and the caller must set a limit.
"""

from __future__ import annotations

from math import log
from typing import Literal

Verdict = Literal["pass", "fail"]

ALPHA = 0.05
"""The largest probability with which an unacceptable rate is passed."""
BETA = 0.05
"""The largest probability with which an acceptable rate is failed."""
ODDS = 3.0
"""The distance of the two rates from the limit, as a factor of the odds of a miss. For a limit of
10 % they are 3.6 % and 25 %, and 12 outcomes without a miss are enough to pass."""
SMALLEST_LIMIT = 0.01
"""The smallest limit that is tested; a lower one is tested as this, since at 0 the two rates would
coincide."""


def zone(limit: float) -> tuple[float, float]:
    """Return the acceptable and the unacceptable rate of misses around a limit, 0 < limit < 1."""
    return limit / (ODDS - (ODDS - 1) * limit), ODDS * limit / (1 + (ODDS - 1) * limit)


def verdict(
    misses: int, n: int, limit: float, *, alpha: float = ALPHA, beta: float = BETA
) -> Verdict | None:
    """Test if the rate of misses is at most `limit`.

    The answer never contradicts the rate so far: it is "pass" only for misses ≤ limit · n, and
    "fail" only for more. This can only lower the errors.

    Args:
        misses: the misses so far.
        n: the outcomes so far.
        limit: the largest rate that is allowed, from 0 to 1.
        alpha: the largest probability with which an unacceptable rate is passed.
        beta: the largest probability with which an acceptable rate is failed.

    Returns:
        The verdict; None while it is not clear.
    """
    if limit >= 1:
        return "pass"
    acceptable, unacceptable = zone(max(limit, SMALLEST_LIMIT))
    ratio = misses * log(unacceptable / acceptable)
    ratio += (n - misses) * log((1 - unacceptable) / (1 - acceptable))
    is_above = exceeds(misses, n, limit)
    if -ratio >= -log(alpha) and not is_above:
        return "pass"
    if ratio >= -log(beta) and is_above:
        return "fail"
    return None


def exceeds(misses: int, n: int, limit: float) -> bool:
    """Return true if `misses` of `n` are more than `limit` allows, up to rounding of `limit`.

    In binary, 1 − 0.9 is less than 0.1; one miss in ten must still be within that limit.
    """
    return misses > limit * n + 1e-9
