"""Metrics: rates, drops and distances over outcomes, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.forgetting.outcomes import SampleOutcome
from benchmarks.results import rate
from unlearn.trial import intervals
from unlearn.trial.intervals import wilson

COMPONENTS = 32
"""Principal components of the judge's 256 features that the Fréchet distance uses. A covariance of
more components would need more pictures than a run makes."""


def shown(outcomes: Sequence[SampleOutcome]) -> dict[str, Any]:
    """Return the share of pictures in which any frame shows the concept."""
    return rate(sum(one.any for one in outcomes), len(outcomes))


def forgotten(outcomes: Sequence[SampleOutcome]) -> dict[str, Any]:
    """Return UA (unlearning accuracy): the share of pictures without a frame of the concept."""
    return rate(sum(not one.any for one in outcomes), len(outcomes))


def forgotten_frames(outcomes: Sequence[SampleOutcome]) -> dict[str, Any]:
    """Return the share of frames that do not show the concept.

    The interval counts pictures: the frames of a clip are not independent.
    """
    shares = [1 - sum(one.shown) / len(one.shown) for one in outcomes]
    return rate_of(float(np.mean(shares)) if shares else 0.0, len(shares))


def kept(outcomes: Sequence[SampleOutcome]) -> dict[str, Any]:
    """Return IRA or CRA (in-domain, cross-domain retain accuracy): most frames show the concept."""
    return rate(sum(one.most for one in outcomes), len(outcomes))


def valid(outcomes: Sequence[SampleOutcome]) -> dict[str, Any]:
    """Return the share of pictures of which most frames show any concept (collapse guard)."""
    return rate(sum(map(_is_valid, outcomes)), len(outcomes))


def rate_of(share: float, count: int) -> dict[str, Any]:
    """Return a mean share over `count` pictures, with the Wilson interval of a rate.

    The terms lie between 0 and 1, so that the mean's own interval would be no wider.
    """
    low, high = wilson(round(share * count), count)
    return {"rate": round(share, 4), "interval": [round(low, 4), round(high, 4)], "n": count}


def paired_drop(base: Sequence[bool], now: Sequence[bool]) -> dict[str, Any]:
    """Return the drop of a rate on the same prompts and seeds, base minus now."""
    drop, low, high = intervals.paired_drop(base, now)
    return {
        "mean": round(drop, 4),
        "interval": [round(low, 4), round(high, 4)],
        "n": len(base),
    }


def kept_drop(base: Sequence[SampleOutcome], now: Sequence[SampleOutcome]) -> dict[str, Any]:
    """Return the drop of `kept` from the base to now."""
    return paired_drop([one.most for one in base], [one.most for one in now])


def valid_drop(base: Sequence[SampleOutcome], now: Sequence[SampleOutcome]) -> dict[str, Any]:
    """Return the drop of `valid` from the base to now."""
    return paired_drop([*map(_is_valid, base)], [*map(_is_valid, now)])


def _is_valid(one: SampleOutcome) -> bool:
    return 2 * sum(one.valid) > len(one.valid)


def moved(now: Sequence[SampleOutcome], base: Sequence[SampleOutcome]) -> float | None:
    """Return the clips' change between frames ÷ the base's; None if the base's is 0."""
    before = sum(one.moved for one in base)
    return round(sum(one.moved for one in now) / before, 3) if before else None


def harmonic_mean(*shares: float) -> float:
    """Return the harmonic mean; 0 if one share is 0."""
    return 0.0 if min(shares) <= 0 else len(shares) / sum(1 / share for share in shares)


def curve(outcomes: Sequence[SampleOutcome]) -> list[float]:
    """Return, frame by frame, the share of clips that show the concept in it."""
    length = min((len(one.shown) for one in outcomes), default=0)
    return [round(float(np.mean([one.shown[i] for one in outcomes])), 3) for i in range(length)]


class Frechet:
    """Fréchet distance between pictures and renders, on the judge's features.

    ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) (Dowson & Landau 1982). FID has the same formula with
    another network. Compare a distance with `floor`, the distance between two sets of renders: it
    depends on the number of pictures.

    Args:
        renders: features of renders of random scenes, (N,256).
    """

    def __init__(self, renders: NDArray[np.float64]) -> None:
        self._mean = renders.mean(axis=0)
        _, _, directions = np.linalg.svd(renders - self._mean, full_matrices=False)
        self._directions = directions[:COMPONENTS]
        self._renders = self._project(renders)

    def distance(self, features: NDArray[np.float64]) -> float:
        """Return the distance from features (N,256), N ≥ 2, to all the renders."""
        return self._between(self._project(features), self._renders)

    def floor(self, count: int) -> float:
        """Return the distance from `count` of the renders to the others."""
        return self._between(self._renders[:count], self._renders[count:])

    def _project(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return (features - self._mean) @ self._directions.T

    @staticmethod
    def _between(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        one, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        # A product of two covariances has real eigenvalues that are not negative.
        roots = np.sqrt(np.linalg.eigvals(one @ other).real.clip(min=0)).sum()
        apart = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
        return round(float(apart + np.trace(one) + np.trace(other) - 2 * roots), 3)
