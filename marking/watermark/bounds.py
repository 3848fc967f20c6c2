"""Bounds of false positives: how often clips without a mark reach a score.

The score of a pattern is Σ aₖ·εₖ ÷ √(Σ aₖ²): ε are the pattern's signs, a are the frames' values at
its frequencies, whitened in any manner. For frames that were made without the secret the signs are
fair coins, whatever the frames are, so by Hoeffding (1963, doi:10.1080/01621459.1963.10500830,
theorem 2) a score of z or more has a probability of at most exp(−z² ÷ 2). It needs no model of
pictures. The probability that at least one of several tests reaches z is at most the sum of theirs.
"""

from __future__ import annotations

import math

FALSE_POSITIVES = 1e-6
"""Largest probability that a clip without a mark is said to be the server's."""


def false_positive_bound(score: float, tests: int) -> float:
    """Return an upper bound of the probability that the best of so many tests reaches the score."""
    if score <= 0:
        return 1.0
    return min(1.0, tests * math.exp(-score * score / 2))


def needed_score(tests: int, bound: float) -> float:
    """Return the score at which `false_positive_bound` is `bound`."""
    return math.sqrt(2 * math.log(tests / bound))
