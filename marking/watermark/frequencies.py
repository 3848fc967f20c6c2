"""Frequencies of the mark: those of one tile, a square as wide as the frame's shorter side.

The pattern repeats beyond its tile. A frequency (row, column) counts cycles a tile, so the mark of
a clip is the same at any size. The origin is the centre of the frame: a resize, or a crop that
takes as much from each side, moves nothing.

The bounds are a compromise. Below them lie most of a picture's own contents, and what an eye sees
best; above them, what a re-encoding at crf 28 or a resize to half loses.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LOWEST = 8
"""Cycles a tile."""
HIGHEST = 48
"""Cycles a tile."""

# A real picture's spectrum is symmetric: columns of at least 0 hold all of it.
ROWS = np.arange(-HIGHEST, HIGHEST + 1)
COLUMNS = np.arange(HIGHEST + 1)

_rows, _columns = np.meshgrid(ROWS, COLUMNS, indexing="ij")
_radius = np.hypot(_rows, _columns)
_used = (_radius >= LOWEST) & (_radius <= HIGHEST) & ((_columns > 0) | (_rows > 0))

ROW: NDArray[np.int64] = _rows[_used]
"""(K,): the row of each frequency of the mark."""
COLUMN: NDArray[np.int64] = _columns[_used]
"""(K,): the column of each frequency of the mark."""
RING: NDArray[np.int64] = _radius[_used].astype(int)
"""(K,): the whole distance from zero of each frequency of the mark."""
PLACE: NDArray[np.int64] = np.flatnonzero(_used)
"""(K,): the index of each frequency of the mark in a flat (ROWS, COLUMNS) spectrum."""

# Halves of the frequencies, by lot: on a checkerboard the server's half would look the same again
# after a shift by half a tile, and the shift would remain unknown.
_lot = np.frombuffer(hashlib.shake_256(b"palimpsest halves").digest(2 * len(ROW)), np.uint16)
_order = np.argsort(_lot, kind="stable")

SERVER: NDArray[np.int64] = np.sort(_order[: len(ROW) // 2])
"""(K/2,): which of the K say "made by this server"."""
CLIP: NDArray[np.int64] = np.sort(_order[len(ROW) // 2 :])
"""(K/2,): which of the K say which clip it is. Neither half disturbs the other."""


def carried(tile: float) -> NDArray[np.bool_]:
    """Return which of the K frequencies a tile of so many pixels can carry: fewer than tile ÷ 2."""
    return np.maximum(np.abs(ROW), COLUMN) < tile / 2


def spectrum_of(values: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Lay K values out as a spectrum (ROWS, COLUMNS), zero elsewhere."""
    spectrum = np.zeros(len(ROWS) * len(COLUMNS), np.complex64)
    spectrum[PLACE] = values
    return spectrum.reshape(len(ROWS), len(COLUMNS))


@lru_cache(maxsize=128)
def waves(axis: Literal["rows", "columns"], pixels: int, tile: float) -> NDArray[np.complex64]:
    """Return exp(2πi·frequency·x ÷ tile) at each pixel x from the centre, (frequencies,pixels)."""
    frequencies = ROWS if axis == "rows" else COLUMNS
    x = (np.arange(pixels) + 0.5 - pixels / 2) / tile
    found = np.exp(2j * np.pi * np.outer(frequencies, x)).astype(np.complex64)
    found.flags.writeable = False  # callers share it
    return found
