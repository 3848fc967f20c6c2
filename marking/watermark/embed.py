"""Embedding: adds the mark of one clip to its frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from marking.watermark.frequencies import (
    CLIP,
    ROW,
    SERVER,
    carried,
    spectrum_of,
    waves,
)
from marking.watermark.pictures import Picture, blurred, check_frames, mean_luma
from marking.watermark.signs import clip_signs, server_number, server_signs

IN_FLAT = 0.6
"""Root mean square of the residual where the picture is flat, in levels of 0 to 255."""
IN_TEXTURE = 1.6
"""The same where it has texture or edges, which hide more (Cox et al., 1997, on masking)."""
AT_MOST = 1.9
"""The same anywhere, in frames of any size."""
_FULL_SIDE = 512  # pixels: in smaller frames the waves are finer, so less is seen and more is lost
_MOST_GAIN = 1.5  # that smaller frames get in return
_TEXTURED = 10.0  # levels of local contrast from which a place counts as textured
_SIDE = 96  # pixels, of the picture that the contrast is measured in
_FRAMES = 4


def mark(frames: NDArray[np.uint8], secret: bytes, clip_id: str) -> NDArray[np.uint8]:
    """Return the frames with the clip's mark, the same in every frame and colour.

    The same arguments give the same frames. The peak signal-to-noise ratio is at least 42 dB: the
    residual's root mean square is at most 1.9 levels, before rounding. Frames of fewer than 100
    pixels at the shorter side hold a part of the mark only; of 12 or fewer, nothing, and come back
    as they are.

    Args:
        frames: (F,H,W,3), at the size to deliver: what is resized later loses a part.
        secret: the server's, 16 bytes or more. Whoever has it can find and remove all marks.
        clip_id: of the clip's record.

    Raises:
        ValueError: the frames are not (F,H,W,3) `uint8` or empty, or the secret is too short.
    """
    check_frames(frames)
    height, width = frames.shape[1:3]
    residual = pattern(secret, clip_id, height, width) * amplitude(frames)
    rounded = np.rint(residual).astype(np.int16)[..., None].repeat(3, axis=2)
    more = np.maximum(rounded, 0).astype(np.uint8)
    less = np.maximum(-rounded, 0).astype(np.uint8)
    most = 255 - more
    marked = np.empty_like(frames)
    for frame, out in zip(frames, marked, strict=True):
        # Sums that stay within 0 and 255, in bytes: a fifth of the time of wider numbers.
        np.minimum(frame, most, out=out)
        out += more
        np.maximum(out, less, out=out)
        out -= less
    return marked


def pattern(secret: bytes, clip_id: str, height: int, width: int) -> Picture:
    """Return the clip's pattern (height,width), of root mean square 1; zeros if it is too small."""
    tile = min(height, width)
    values = np.zeros(len(ROW), np.complex64)
    values[SERVER] = server_signs(secret)[server_number(secret, clip_id)]
    values[CLIP] = clip_signs(secret, [clip_id])[0]
    values[~carried(tile)] = 0
    power = float(np.sum(np.abs(values) ** 2)) / 2
    if not power:
        return np.zeros((height, width), np.float32)
    by_row = waves("rows", height, tile).T @ spectrum_of(values)
    across = waves("columns", width, tile)
    return (by_row.real @ across.real - by_row.imag @ across.imag) / np.float32(np.sqrt(power))


def amplitude(frames: NDArray[np.uint8]) -> Picture:
    """Return the root mean square that the residual shall have at each pixel, (H,W)."""
    luma, _ = mean_luma(frames, side=_SIDE, at_most=_FRAMES)
    contrast = np.sqrt(blurred((luma - blurred(luma, 2)) ** 2, 2))
    height, width = frames.shape[1:3]
    gain = min(max(_FULL_SIDE / min(height, width), 1.0), _MOST_GAIN)
    texture = np.minimum(1, contrast / np.float32(_TEXTURED))
    wanted = np.minimum(AT_MOST, gain * (IN_FLAT + (IN_TEXTURE - IN_FLAT) * texture))
    return _between(height, luma.shape[0]) @ wanted @ _between(width, luma.shape[1]).T


def _between(pixels: int, samples: int) -> Picture:
    """Return a matrix (pixels,samples) that interpolates between evenly spaced samples."""
    position = np.clip((np.arange(pixels) + 0.5) * samples / pixels - 0.5, 0, samples - 1)
    distance = np.abs(position[:, None] - np.arange(samples))
    return np.maximum(0, 1 - distance).astype(np.float32)
