"""Pictures for the report's page: WebP of bounded size, to be embedded in the HTML."""

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
"""The longer side of a picture in pixels; smaller pictures are enlarged to it."""
STRIP_FRAMES, STRIP_SIDE = 6, 128
"""The most frames of a strip, and the longer side of each in pixels."""
PREVIEW_FRAMES = 24
"""The most frames of a clip's animation."""
STILL_BYTES, PREVIEW_BYTES, STRIP_BYTES = 14 << 10, 44 << 10, 16 << 10
"""The size limits of a still, of a clip's animation and of its strip of frames."""
_QUALITIES = (85, 70, 50, 30, 10)


@dataclass(frozen=True)
class Inline:
    """A WebP image with its size in pixels, as the page embeds it."""

    webp: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The image as a data: URI."""
        return "data:image/webp;base64," + b64encode(self.webp).decode()


def still(frames: Frames) -> Inline:
    """Encode one picture, (1,H,W,3)."""
    return _fitting(lambda side, quality: _webp(_resized(frames, side), quality), SIDE, STILL_BYTES)


def preview(frames: Frames, fps: float) -> Inline:
    """Encode a clip (F,H,W,3) as an endless animation.

    A long clip is thinned to `PREVIEW_FRAMES` frames; the animation lasts as long as the clip.
    """
    chosen = _spread(len(frames), PREVIEW_FRAMES)
    apart = round(1000 * len(frames) / fps / len(chosen))
    return _fitting(
        lambda side, quality: _webp(_resized(frames[chosen], side), quality, apart),
        SIDE,
        PREVIEW_BYTES,
    )


def strip(frames: Frames) -> Inline:
    """Encode some frames of a clip (F,H,W,3) side by side, for paper and for reduced motion."""
    chosen = _spread(len(frames), STRIP_FRAMES)

    def draw(side: int, quality: int) -> Inline:
        pictures = [np.asarray(picture) for picture in _resized(frames[chosen], side)]
        return _webp([Image.fromarray(np.concatenate(pictures, 1))], quality)

    return _fitting(draw, STRIP_SIDE, STRIP_BYTES)


def _fitting(draw: Callable[[int, int], Inline], side: int, limit: int) -> Inline:
    """Return the best image within `limit` bytes: first the quality goes down, then the size.

    The loop ends, because an image of one pixel is within each of the limits above.
    """
    while True:
        for quality in _QUALITIES:
            drawn = draw(side, quality)
            if len(drawn.webp) <= limit:
                return drawn
        side //= 2


def _spread(count: int, most: int) -> list[int]:
    """Choose at most `most` of `count` indices, evenly spread, the first and last among them."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _resized(frames: Frames, side: int) -> list[Image.Image]:
    height, width = frames.shape[1:3]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return [Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames]


def _webp(pictures: Sequence[Image.Image], quality: int, apart: int = 0) -> Inline:
    """Encode one picture, or an animation with `apart` milliseconds a frame if that is not 0."""
    buffer = io.BytesIO()
    moving = {"save_all": True, "append_images": list(pictures[1:]), "duration": apart, "loop": 0}
    pictures[0].save(buffer, "WEBP", quality=quality, method=4, **(moving if apart else {}))
    return Inline(buffer.getvalue(), pictures[0].width, pictures[0].height)
