"""Alterations of a delivered clip, each a copy as somebody else might pass it on."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import av
import numpy as np

from video.clip import decode_mp4, enlarge

if TYPE_CHECKING:
    from video.frames import Frames


def encoded_again(frames: Frames, crf: int) -> Frames:
    """Return frames after x264 at its default preset; odd sizes lose their last row or column."""
    height, width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(crf), "threads": "1"}
        stream = container.add_stream("libx264", rate=8, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return decode_mp4(file.getvalue())


def scaled(frames: Frames) -> Frames:
    """Return frames of half the width and height."""
    return enlarge(frames, (frames.shape[2] // 2, frames.shape[1] // 2))


def cropped(frames: Frames) -> Frames:
    """Return frames without 5 % at each of the four sides."""
    down, right = round(0.05 * frames.shape[1]), round(0.05 * frames.shape[2])
    return frames[:, down:-down, right:-right]


def cropped_in_a_corner(frames: Frames) -> Frames:
    """Return frames without 5 % at the top and at the left."""
    return frames[:, round(0.05 * frames.shape[1]) :, round(0.05 * frames.shape[2]) :]


def trimmed(frames: Frames) -> Frames:
    """Return the middle half of the frames."""
    quarter = len(frames) // 4
    return frames[quarter : len(frames) - quarter]


def stretched(frames: Frames) -> Frames:
    """Return frames without 5 % at the left, stretched to the old width."""
    size = (frames.shape[2], frames.shape[1])
    return enlarge(frames[:, :, round(0.05 * frames.shape[2]) :], size)


def _twice(frames: Frames) -> Frames:
    return enlarge(cropped(frames), (frames.shape[2], frames.shape[1]))


def _then(crf: int, alter: Callable[[Frames], Frames], frames: Frames) -> Frames:
    return encoded_again(alter(frames), crf)


GOALS: Mapping[str, float] = {
    "crf 23": 0.99,
    "crf 28": 0.95,
    "scaled to half, crf 23": 0.99,
    "cropped by 5 % at each side, crf 23": 0.95,
    "trimmed to half its frames, crf 23": 0.99,
}
"""Share of clips to find (H11)."""
ALTERATIONS: Mapping[str, Callable[[Frames], Frames]] = {
    "as delivered": lambda frames: frames,
    "crf 23": partial(encoded_again, crf=23),
    "crf 28": partial(encoded_again, crf=28),
    "scaled to half, crf 23": partial(_then, 23, scaled),
    "cropped by 5 % at each side, crf 23": partial(_then, 23, cropped),
    "trimmed to half its frames, crf 23": partial(_then, 23, trimmed),
    "cropped by 5 % in a corner, crf 23": partial(_then, 23, cropped_in_a_corner),
    "cropped and enlarged to its size, crf 23": partial(_then, 23, _twice),
    "cut at the left and stretched, crf 23": partial(_then, 23, stretched),
    "crf 35": partial(encoded_again, crf=35),
    "all: trimmed, cropped, half, crf 28": partial(
        _then, 28, lambda frames: scaled(cropped(trimmed(frames)))
    ),
}
"""Goal H11's, and others that show where the mark ends."""
