"""Detection: says of any frames if this server marked them, and which clip they are from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marking.watermark.bounds import FALSE_POSITIVES, false_positive_bound
from marking.watermark.frequencies import CLIP, SERVER
from marking.watermark.pictures import Picture, check_frames
from marking.watermark.signs import SERVER_PATTERNS, Signs, clip_signs, server_signs
from marking.watermark.spectra import (
    SHIFTS,
    Spectrum,
    evidence,
    scores_near,
    scores_of_patterns,
    scores_of_shifts,
    whitened_spectrum,
)

KEPT = tuple(1 - percent / 100 for percent in range(15))
"""Shares of the marked frames' shorter side that may be left: 1 down to 0.86. A pattern that is
0.5 % too large or small still fits: at the border it is off by an eighth of its finest wave."""

# Around the best of the coarse search, in shares of the tile.
_FINE_KEPT = (-0.005, -0.0025, 0.0, 0.0025, 0.005)
_FINE_SHIFTS = tuple(step / (4 * SHIFTS) for step in range(-3, 4))
# Where the fine search looks depends on the scores, so all places count where it could have looked.
SERVER_TESTS = SERVER_PATTERNS * len(KEPT) * len(_FINE_KEPT) * (4 * SHIFTS) ** 2
_AT_ONCE = 4096  # candidates whose signs are in memory together


@dataclass(frozen=True)
class Detection:
    """The answer about some frames. Bounds are upper bounds of a false positive's probability."""

    is_ours: bool
    """True if this server marked them: `bound` is 1e-6 or less."""
    bound: float
    """Probability that frames without a mark, or with another server's, look as much like ours."""
    clip_id: str | None
    """The candidate whose clip it is; None if it is none of them, or cannot be told."""
    clip_bound: float
    """Probability that the best of the candidates fits as well without being the clip."""
    server_score: float
    """Standard deviations by which the best of the server's patterns fits."""
    clip_score: float
    """The same of the best candidate; 0 without candidates."""
    kept: float
    """Share of the shorter side of the marked frames that these show, if they are ours."""


@dataclass(frozen=True)
class _Position:
    """Place at which the server's pattern fits best."""

    score: float
    kept: float
    shift: tuple[float, float]


def detect(frames: NDArray[np.uint8], secret: bytes, candidates: Sequence[str]) -> Detection:
    """Look for the server's mark in frames, and for the candidate whose mark it is.

    The frames may be re-encoded, resized, cut to a part of their length, and cropped to 86 % of
    their shorter side or more; not turned, mirrored or stretched.

    Args:
        frames: (F,H,W,3); up to 48 of them are used, evenly spaced.
        secret: the server's, as in `mark`.
        candidates: ids of the clips that it may be, such as those of a time window. The more there
            are, the better the right one has to fit: 1,000 need a score of 6.7, a million 7.7.

    Raises:
        ValueError: the frames are not (F,H,W,3) `uint8` or empty, or the secret is too short.
    """
    check_frames(frames)
    picture, side = evidence(frames)
    best = _server_position(picture, side, server_signs(secret))
    # As delivered, too: whoever has removed the server's half may have left the clip's.
    positions = dict.fromkeys([(best.kept, best.shift), (1.0, (0.0, 0.0))])
    spectra = [(whitened_spectrum(picture, side / kept), shift) for kept, shift in positions]
    clip_score, clip_id = _best_candidate(spectra, secret, candidates)
    # Two ways to be ours, and each gets half of what is allowed.
    clip_bound = false_positive_bound(clip_score, 2 * len(spectra) * len(candidates))
    bound = min(2 * false_positive_bound(best.score, SERVER_TESTS), clip_bound, 1.0)
    return Detection(
        is_ours=bound <= FALSE_POSITIVES,
        bound=bound,
        clip_id=clip_id if clip_bound <= FALSE_POSITIVES else None,
        clip_bound=clip_bound,
        server_score=best.score,
        clip_score=clip_score,
        kept=best.kept,
    )


def _server_position(picture: Picture, side: float, patterns: Signs) -> _Position:
    """Search the kept shares and shifts for the best fit of any of the server's patterns."""
    best, number = _Position(0.0, 1.0, (0.0, 0.0)), 0
    for kept in KEPT:
        spectrum = whitened_spectrum(picture, side / kept)
        for index, signs in enumerate(patterns):
            scores = scores_of_shifts(spectrum, SERVER, signs)
            place = int(scores.argmax())
            if scores.flat[place] > best.score:
                down, right = divmod(place, SHIFTS)
                best = _Position(float(scores.flat[place]), kept, (down / SHIFTS, right / SHIFTS))
                number = index
    return _refined(picture, side, patterns[number], best)


def _refined(picture: Picture, side: float, pattern: Signs, coarse: _Position) -> _Position:
    """Search the neighbourhood of a position, between the steps of the coarse search."""
    best = coarse
    for more in _FINE_KEPT:
        kept = coarse.kept + more
        spectrum = whitened_spectrum(picture, side / kept)
        downs, rights = ([start + fine for fine in _FINE_SHIFTS] for start in coarse.shift)
        scores = scores_near(spectrum, SERVER, pattern, downs, rights)
        place = int(scores.argmax())
        if scores.flat[place] > best.score:
            down, right = divmod(place, len(rights))
            best = _Position(float(scores.flat[place]), kept, (downs[down], rights[right]))
    return best


def _best_candidate(
    spectra: Sequence[tuple[Spectrum, tuple[float, float]]],
    secret: bytes,
    candidates: Sequence[str],
) -> tuple[float, str | None]:
    """Return the best score of any candidate at any of the positions, and the candidate.

    The positions were found by the server's half of the frequencies, whose signs say nothing about
    those of the other half: they do not count as tests of it.
    """
    best_score, best_id = 0.0, None
    for start in range(0, len(candidates), _AT_ONCE):
        some = candidates[start : start + _AT_ONCE]
        signs = clip_signs(secret, some)
        for spectrum, shift in spectra:
            scores = scores_of_patterns(spectrum, CLIP, signs, shift)
            place = int(scores.argmax())
            if scores[place] > best_score:
                best_score, best_id = float(scores[place]), some[place]
    return best_score, best_id
