"""Pictures that the mark is computed from: luma, shrunk and averaged, and its local contrast."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.floating[Any]]
"""(H,W), of levels from 0 to 255 or of what is computed from them."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def check_frames(frames: NDArray[Any]) -> None:
    """Raise ValueError unless an array holds frames, (F,H,W,3) `uint8`, at least one."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
        raise ValueError(
            f"Frames must be uint8 (F,H,W,3) and not empty, not {frames.dtype} {frames.shape}."
        )


def mean_luma(frames: NDArray[np.uint8], *, side: int, at_most: int) -> tuple[Picture, float]:
    """Return the mean luma of evenly spaced frames, shrunk by a whole factor, and their side.

    The side is the shorter one of the whole frames, in pixels of the picture.

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
    luma = (blocks.astype(np.float32) @ _LUMA) / np.float32(factor * factor * len(chosen))
    return luma, min(height, width) / factor


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
