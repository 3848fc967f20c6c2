"""Spectra: what the frames of a clip show at the mark's frequencies, and how a pattern fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from marking.watermark.frequencies import (
    COLUMN,
    COLUMNS,
    PLACE,
    RING,
    ROW,
    ROWS,
    carried,
    spectrum_of,
    waves,
)
from marking.watermark.pictures import Picture, blurred, mean_luma
from marking.watermark.signs import Signs

Spectrum: TypeAlias = NDArray[np.complexfloating[Any, Any]]
"""(K,): one value for each frequency of the mark."""
Scores: TypeAlias = NDArray[np.floating[Any]]
"""Standard deviations above what frames without the pattern have: see `bounds`."""
Half: TypeAlias = NDArray[np.int64]
"""(K/2,): `SERVER` or `CLIP`."""

SHIFTS = 128
"""Shifts of the tile in each direction; more than twice the highest frequency."""

_SIDE = 128  # pixels, of the picture that is analysed: twice the highest frequency and some more
_FRAMES = 48
_TINY = float(np.finfo(np.float32).tiny)
_NOISE = 4.0  # levels: contrast that a mark and its re-encoding leave in flat places


def evidence(frames: NDArray[np.uint8]) -> tuple[Picture, float]:
    """Return the mean of the frames with their own contents subdued, (h,w), and their side.

    The mean is high-passed, and divided by its local variance: a place counts by how little but the
    mark is to be expected there, as in the Wiener filter. The side is the frames' shorter one in
    pixels of the picture: 128 or more, and below 256, if the frames have as many.
    """
    luma, side = mean_luma(frames, side=_SIDE, at_most=_FRAMES)
    scale = side / _SIDE
    details = luma - blurred(luma, 4 * scale)
    return details / (blurred(details**2, 2 * scale) + np.float32(_NOISE**2)), side


def whitened_spectrum(picture: Picture, tile: float) -> Spectrum:
    """Return the values of a picture at the mark's frequencies, each about as large as the others.

    Values are divided by the root mean square of their ring, and cut to 1: edges give a few values
    that would outweigh all others.

    Args:
        picture: (h,w), from `evidence`.
        tile: pixels of a tile, a whole number or not. Frequencies that it cannot carry are zero.
    """
    height, width = picture.shape
    across = picture @ waves("columns", width, tile).conj().T
    whole = waves("rows", height, tile).conj() @ across
    values = np.where(carried(tile), whole.reshape(-1)[PLACE], 0).astype(np.complex64)
    size = np.abs(values)
    ring = np.sqrt(np.bincount(RING, size**2) / np.bincount(RING).clip(1)).astype(np.float32)[RING]
    return values / np.maximum(np.maximum(ring, size), _TINY)


def scores_of_shifts(spectrum: Spectrum, half: Half, signs: Signs) -> Scores:
    """Return the scores of one pattern at all shifts, (SHIFTS,SHIFTS): see `bounds`.

    Element (i,j) is the score if the picture shows the pattern moved by i and j ÷ SHIFTS tiles.

    Args:
        spectrum: of the picture.
        half: the pattern's frequencies.
        signs: (K/2,), the pattern's.
    """
    values = np.zeros_like(spectrum)
    values[half] = spectrum[half] * signs.conj()
    full = np.zeros((SHIFTS, SHIFTS // 2 + 1), np.complex64)
    full[ROWS, : len(COLUMNS)] = spectrum_of(values)
    # A column of zero stands for itself and its mirror image, the others stand for two.
    full[:, 0] *= 2
    sums = np.fft.irfft2(full, s=(SHIFTS, SHIFTS)) * (SHIFTS * SHIFTS / 2)
    return sums / _length(spectrum, half)


def scores_near(
    spectrum: Spectrum, half: Half, signs: Signs, downs: Sequence[float], rights: Sequence[float]
) -> Scores:
    """Return the scores of one pattern at some shifts, (downs,rights), in tiles.

    As `scores_of_shifts`, for few shifts, which need not lie on its grid.
    """
    fits = spectrum[half] * signs.conj() * _turns(ROW[half], downs)
    return (fits @ _turns(COLUMN[half], rights).T).real / _length(spectrum, half)


def scores_of_patterns(
    spectrum: Spectrum, half: Half, signs: Signs, shift: tuple[float, float]
) -> Scores:
    """Return the scores of several patterns at one shift, (N,).

    Args:
        spectrum: of the picture.
        half: the patterns' frequencies.
        signs: (N,K/2), the patterns'.
        shift: down and to the right, in tiles.
    """
    turns = _turns(ROW[half], shift[:1]) * _turns(COLUMN[half], shift[1:])
    return (signs @ (spectrum[half] * turns[0]).conj()).real / _length(spectrum, half)


def _turns(frequencies: NDArray[np.int64], shifts: Sequence[float]) -> Spectrum:
    """Return the factors that undo shifts, (shifts,K/2)."""
    return np.exp(2j * np.pi * np.outer(shifts, frequencies)).astype(np.complex64)


def _length(spectrum: Spectrum, half: Half) -> float:
    return max(float(np.linalg.norm(spectrum[half])), _TINY)
