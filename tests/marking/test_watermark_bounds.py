"""The bound of false positives: it holds for what it counts, and the scores are what it assumes."""

from __future__ import annotations

import numpy as np
import pytest

from marking.watermark.bounds import false_positive_bound, needed_score
from marking.watermark.frequencies import CLIP, COLUMN, ROW, SERVER
from marking.watermark.signs import SERVER_PATTERNS, clip_signs, server_number, server_signs
from marking.watermark.spectra import (
    SHIFTS,
    evidence,
    scores_near,
    scores_of_patterns,
    scores_of_shifts,
    whitened_spectrum,
)
from tests.marking.watermark_clips import CANDIDATES, SECRET, drawn


def test_the_bound_is_hoeffdings_times_the_tests() -> None:
    assert false_positive_bound(6.0, 1) == pytest.approx(np.exp(-18))
    assert false_positive_bound(6.0, 1000) == pytest.approx(1000 * np.exp(-18))
    assert false_positive_bound(0.0, 1) == 1
    assert false_positive_bound(1.0, 10) == 1
    assert false_positive_bound(-9.0, 1) == 1


def test_the_needed_score_has_the_bound() -> None:
    assert false_positive_bound(needed_score(10**8, 1e-6), 10**8) == pytest.approx(1e-6)


@pytest.mark.parametrize("style", ["plain", "dottie"])
def test_scores_of_an_unmarked_clip_stay_below_the_bound_at_every_height(style: str) -> None:
    picture, side = evidence(drawn(style))
    spectrum = whitened_spectrum(picture, side)
    signs = clip_signs(SECRET, [f"unmarked {number}" for number in range(4000)])
    scores = scores_of_patterns(spectrum, CLIP, signs, (0.0, 0.0))
    assert scores.mean() == pytest.approx(0, abs=0.08)
    assert scores.std() == pytest.approx(1, abs=0.06)
    for height in (1.0, 2.0, 3.0):
        assert (scores > height).mean() < false_positive_bound(height, 1)


def test_scores_at_a_shift_are_the_same_by_each_way() -> None:
    picture, side = evidence(drawn())
    spectrum = whitened_spectrum(picture, side)
    signs = server_signs(SECRET)[1]
    everywhere = scores_of_shifts(spectrum, SERVER, signs)
    downs, rights = [5 / SHIFTS, 100 / SHIFTS], [0.0, 77 / SHIFTS, 127 / SHIFTS]
    near = scores_near(spectrum, SERVER, signs, downs, rights)
    assert near == pytest.approx(everywhere[np.ix_([5, 100], [0, 77, 127])], abs=1e-3)
    alone = scores_of_patterns(spectrum, SERVER, signs[None], (downs[1], rights[2]))
    assert alone[0] == pytest.approx(near[1, 2], abs=1e-3)


def test_the_halves_share_no_frequency() -> None:
    assert set(SERVER) | set(CLIP) == set(range(len(ROW)))
    assert not set(SERVER) & set(CLIP)
    assert len(SERVER) == len(CLIP)
    # No shift of the tile turns every server frequency by a whole number: it can be told.
    for half in (SERVER, CLIP):
        for down, right in ((0.5, 0.5), (0.5, 0.0), (0.0, 0.5)):
            assert np.any((ROW[half] * down + COLUMN[half] * right) % 1)


def test_signs_are_balanced_and_unlike_each_other() -> None:
    signs = np.concatenate([server_signs(SECRET), clip_signs(SECRET, CANDIDATES[:8])])
    bits = np.concatenate([signs.real, signs.imag], axis=1)
    assert set(np.unique(bits)) == {-1, 1}
    agreement = bits @ bits.T / bits.shape[1]
    assert np.abs(agreement - np.eye(len(bits))).max() < 0.1
    assert np.abs(bits.mean(axis=1)).max() < 0.1


def test_clips_have_all_of_the_servers_patterns() -> None:
    numbers = [server_number(SECRET, name) for name in CANDIDATES]
    counts = np.bincount(numbers, minlength=SERVER_PATTERNS)
    assert counts.min() > 80
    assert len(counts) == SERVER_PATTERNS
