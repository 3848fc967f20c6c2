"""Stages: how many outcomes, with how many misses, support that a rate of misses is in its limit.

Stage k is passed by n_k outcomes of which k at most are misses. Two things are asked of n_k:

- The 95 % interval of k misses in n_k outcomes (Wilson's) lies within the limit. So a verdict's
  interval supports its sentence. Without a miss that takes 35 outcomes for a limit of 10 %, 73 for
  5 % and 125 for 3 %; with one miss 185 for 3 %.
- The stages together keep the error. P(some stage up to k is passed), for a rate of misses that is
  just the limit, is computed exactly and is at most `ALPHA`·(1 − (1 − `SHARE`)^(k+1)): each stage
  may spend `SHARE` of the error that those before it left. The looks are part of the design, so
  there is nothing to correct for (spending of an error over planned looks: Lan and DeMets,
  Biometrika 70, 1983).

**What that guarantees.** If the chance of a miss, given the outcomes before, is above the limit
each time, a stage is *ever* passed with a probability of at most `ALPHA`: a miss never helps, so a
larger chance of one passes less often than the limit itself. It does not matter how often one looks
between the stages, or when one stops. Nothing is promised of a rate within the limit: it fails if
it has too many misses for the outcomes that are left (`failed`), which more outcomes make rarer.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

from unlearn.trial.intervals import wilson
from unlearn.trial.sequential import ALPHA, SMALLEST_LIMIT, Verdict, verdict

SHARE = 0.51
"""Share of the error left that a stage may spend. With a little more than a half, the first two
stages need no more outcomes than Wilson's interval does for the limits of all tiers but one."""
MOST = 2000
"""The largest number of outcomes that stages are computed for."""


@lru_cache(64)
def stages(limit: float, most: int = MOST) -> tuple[int, ...]:
    """Return n_0, n_1, …, up to `most`; none if no stage has so few outcomes.

    Args:
        limit: the largest rate of misses that is allowed, 0 to 1. A limit below `SMALLEST_LIMIT` is
            taken for that.
        most: the outcomes that there can be.
    """
    limit = max(limit, SMALLEST_LIMIT)
    found: list[int] = []
    open_yet = [1.0]  # the probability of each number of misses, no stage being passed
    spent, left = 0.0, 1.0
    for n in range(1, most + 1):
        before = open_yet[: int(limit * most) + 1]  # with more misses, no stage has `most`
        open_yet = [
            (before[k] * (1 - limit) if k < len(before) else 0.0)
            + (before[k - 1] * limit if k else 0.0)
            for k in range(len(before) + 1)
        ]
        misses = len(found)
        passing = sum(open_yet[: misses + 1])
        budget = ALPHA * (1 - left * (1 - SHARE))
        if wilson(misses, n)[1] <= limit and spent + passing <= budget:
            found.append(n)
            spent, left = spent + passing, left * (1 - SHARE)
            open_yet[: misses + 1] = [0.0] * (misses + 1)
    return tuple(found)


def supported(misses: int, n: int, limit: float) -> bool:
    """Return true if these outcomes pass a stage."""
    if limit >= 1:
        return True
    needed = stages(limit, _rounded(n))
    return misses < len(needed) and n >= needed[misses]


def failed(misses: int, n: int, left: int, limit: float) -> bool:
    """Return true if no stage can be passed any more, with `left` further outcomes at most."""
    if limit >= 1:
        return False
    return misses >= sum(needed <= n + left for needed in stages(limit, _rounded(n + left)))


def staged_verdict(misses: int, n: int, left: int, limit: float) -> Verdict | None:
    """Return "pass" if a stage is passed, "fail" if none can be; None while it is open."""
    if supported(misses, n, limit):
        return "pass"
    return "fail" if failed(misses, n, left, limit) else None


def fewest(limit: float, misses: int = 0) -> int | None:
    """Return the outcomes that are enough with so many misses; None if `MOST` are not."""
    needed = stages(limit)
    return needed[misses] if misses < len(needed) else None


def fewest_probes(limit: float, *, by_interval: bool) -> int:
    """Return the outcomes without a miss that are enough, by stages or by the sequential test."""
    if limit >= 1:
        return 1
    if by_interval:
        return fewest(limit) or MOST
    return next(n for n in range(1, MOST) if verdict(0, n, limit))


def too_many(n: int, limit: float, *, looks: int) -> int:
    """Return the number of misses in n outcomes that is too large to be chance.

    The smallest x with P(x misses or more) ≤ `ALPHA` / `looks` for a rate of misses of `limit`
    (the exact binomial test; Bonferroni over the looks). It may be n + 1: then nothing is.
    """
    tail = 0.0
    for x in range(n, -1, -1):
        tail += comb(n, x) * limit**x * (1 - limit) ** (n - x)
        if tail > ALPHA / looks:
            return x + 1
    return 0


def _rounded(n: int) -> int:
    """Return n rounded up, so that few numbers of outcomes are computed for."""
    return min(MOST, -(-max(n, 1) // 500) * 500)
