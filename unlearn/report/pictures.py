"""Pictures as the report's page holds them: small enough to be carried inside it, whatever they
show.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from video.frames import Frames

SIDE = 256
"""The longer side of a picture in pixels; smaller ones are enlarged."""
STRIP_FRAMES, STRIP_SIDE = 6, 128
PREVIEW_FRAMES = 24
STILL_BYTES, PREVIEW_BYTES, STRIP_BYTES = 14 << 10, 44 << 10, 16 << 10
"""Upper bounds of a still, of a clip's animation and of its strip of frames."""
_QUALITIES = (85, 70, 50, 30, 10)


@dataclass(frozen=True)
class Inline:
    """An image file with its size, as it goes into the page."""

    webp: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """As a data: URI."""
        return "data:image/webp;base64," + b64encode(self.webp).decode()


def still(frames: Frames) -> Inline:
    """One picture, (1,H,W,3)."""
    return _fitting(lambda side, quality: _webp(_resized(frames, side), quality), SIDE, STILL_BYTES)


def preview(frames: Frames, fps: float) -> Inline:
    """A clip (F,H,W,3) as an animation that goes on for ever; of a long one every so many-th frame,
    at the speed of the whole.
    """
    chosen = _spread(len(frames), PREVIEW_FRAMES)
    apart = round(1000 * len(frames) / fps / len(chosen))
    return _fitting(
        lambda side, quality: _webp(_resized(frames[chosen], side), quality, apart),
        SIDE,
        PREVIEW_BYTES,
    )


def strip(frames: Frames) -> Inline:
    """A few frames of a clip (F,H,W,3) beside each other, for paper and for who wants no motion."""
    chosen = _spread(len(frames), STRIP_FRAMES)

    def draw(side: int, quality: int) -> Inline:
        pictures = [np.asarray(picture) for picture in _resized(frames[chosen], side)]
        return _webp([Image.fromarray(np.concatenate(pictures, 1))], quality)

    return _fitting(draw, STRIP_SIDE, STRIP_BYTES)


def _fitting(draw: Callable[[int, int], Inline], side: int, limit: int) -> Inline:
    """The best that fits: first the quality goes down, then the size. Ends, since an image of one
    pixel fits any of our limits.
    """
    while True:
        for quality in _QUALITIES:
            drawn = draw(side, quality)
            if len(drawn.webp) <= limit:
                return drawn
        side //= 2


def _spread(count: int, most: int) -> list[int]:
    """Indices of at most `most` of `count` frames, evenly spread, the first and last among them."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _resized(frames: Frames, side: int) -> list[Image.Image]:
    height, width = frames.shape[1:3]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return [Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames]


def _webp(pictures: Sequence[Image.Image], quality: int, apart: int = 0) -> Inline:
    """`apart`: milliseconds a frame, if there are several."""
    buffer = io.BytesIO()
    moving = {"save_all": True, "append_images": list(pictures[1:]), "duration": apart, "loop": 0}
    pictures[0].save(buffer, "WEBP", quality=quality, method=4, **(moving if apart else {}))
    return Inline(buffer.getvalue(), pictures[0].width, pictures[0].height)
