"""Pictures that the mark is computed from: luma, shrunk and averaged, and its local contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
"""(H,W)."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def mean_luma(frames: NDArray[np.uint8], *, side: int, at_most: int) -> Picture:
    """Return the mean luma of evenly spaced frames, shrunk by a whole factor.

    The rows and columns that are left over at the end are cut off on both sides, so that the centre
    stays in its place, to half a pixel.

    Args:
        frames: (F,H,W,3).
        side: pixels that the shorter side keeps at least, if the frames have them.
        at_most: largest number of frames to average.
    """
    count, height, width, _ = frames.shape
    factor = max(1, min(height, width) // side)
    rows, columns = height // factor, width // factor
    top, left = (height - rows * factor) // 2, (width - columns * factor) // 2
    chosen = np.unique(np.linspace(0, count - 1, min(count, at_most)).round().astype(int))
    total = np.zeros((rows * factor, columns * factor, 3), np.uint32)
    for index in chosen:
        total += frames[index, top : top + rows * factor, left : left + columns * factor]
    blocks = total.reshape(rows, factor, columns, factor, 3).sum(axis=(1, 3), dtype=np.uint32)
    return (blocks.astype(np.float32) @ _LUMA) / (factor * factor * len(chosen))


def blurred(picture: Picture, radius: float) -> Picture:
    """Return a picture averaged over squares of 2·radius + 1 pixels, twice: nearly a Gaussian."""
    whole = max(1, round(radius))
    for _ in range(2):
        picture = _running_mean(_running_mean(picture, whole).T, whole).T
    return picture


def _running_mean(picture: Picture, radius: int) -> Picture:
    """Return means over rows, whose ends are repeated beyond the border."""
    padded = np.pad(picture, ((radius + 1, radius), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0, dtype=np.float64)
    width = 2 * radius + 1
    return ((sums[width:] - sums[:-width]) / width).astype(np.float32)
