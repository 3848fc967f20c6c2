"""Views of a frame: the whole of it, and overlapping parts, for a judge that sees small squares.

A CLIP looks at the middle square of a picture, at 224 pixels or so. What stands at the side is not
in it, and what is small is lost in it. So a frame is looked at as a whole, squeezed to a square,
and in four tiles of two thirds of its height and width that overlap in its middle.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from video.frames import Frames

VIEWS = 6
"""Views of a frame: its middle square, the whole, and four tiles."""


def views(frames: Frames) -> Frames:
    """Return the views of frames (F,H,W,3), squares of one size: (F·`VIEWS`,S,S,3).

    A frame's views follow each other. S is the frame's shorter side.
    """
    side = min(frames.shape[1:3])
    return np.stack([_square(part, side) for frame in frames for part in _parts(frame)])


def _parts(frame: Frames) -> Iterator[Frames]:
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    yield frame[top : top + side, left : left + side]
    yield frame
    tall, wide = -(-2 * height // 3), -(-2 * width // 3)
    for rows in (slice(0, tall), slice(height - tall, height)):
        for columns in (slice(0, wide), slice(width - wide, width)):
            yield frame[rows, columns]


def _square(part: Frames, side: int) -> Frames:
    if part.shape[:2] == (side, side):
        return part
    resized = Image.fromarray(part).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized)
