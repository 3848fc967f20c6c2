"""Clips as files: frames to mp4 with their provenance inside, and back; thumbnail; spritesheet.

Frames are ``uint8`` RGB arrays, (F, H, W, 3), everywhere.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

from encoders.errors import PalimpsestError
from video.frames import Frames, check_frames

MAX_FRAMES = 512
MAX_PIXELS = 2048 * 2048
MAX_BYTES = 64 << 20


class ClipInvalid(PalimpsestError, ValueError):
    """Frames that make no clip, or bytes that are none, or none that may be decoded here."""

    code = "clip_invalid"


def encode_mp4(
    frames: Frames,
    fps: float,
    size: tuple[int, int] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> bytes:
    """H.264 in mp4 that any player and browser shows, ready to stream (index first).

    Args:
        frames: (F, H, W, 3).
        fps: frames a second.
        size: delivered width and height, the frames' own if None. Rounded up to even numbers, since
            H.264 halves the resolution of its colours.
        provenance: JSON kept in the file's ``comment``, the one key that survives every muxer; read
            it with :func:`read_provenance`, or with any tool that shows a file's tags.

    The same arguments give the same bytes.

    Raises:
        ClipInvalid: no frames, or not (F, H, W, 3) ``uint8``, or an fps that is not positive.
    """
    if not 0 < fps <= 240:
        raise ClipInvalid(f"fps is {fps}; it has to be above 0 and at most 240.", param="fps")
    _check(frames)
    width, height = size or (frames.shape[2], frames.shape[1])
    pictures = enlarge(frames, (width + width % 2, height + height % 2))
    # The muxer rewrites the file to move its index to the front, which it cannot do in memory.
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
            if provenance is not None:
                container.metadata["comment"] = json.dumps(provenance, sort_keys=True)
            rate = Fraction(fps).limit_denominator(1001)
            # One thread: what several write depends on how many there are.
            options = {"crf": "16", "preset": "veryfast", "tune": "animation", "threads": "1"}
            stream = container.add_stream("libx264", rate=rate, options=options)
            stream.width, stream.height = pictures.shape[2], pictures.shape[1]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.colorspace = Colorspace.ITU709
            context.color_primaries = ColorPrimaries.BT709
            context.color_trc = ColorTrc.BT709
            context.color_range = ColorRange.MPEG
            for picture in pictures:
                rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
                yuv = rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
                container.mux(stream.encode(yuv))
            container.mux(stream.encode(None))
        return path.read_bytes()


def decode_mp4(data: bytes, *, max_frames: int = MAX_FRAMES) -> Frames:
    """Every frame of an mp4, (F, H, W, 3). Safe for what a stranger sends.

    Raises:
        ClipInvalid: not an mp4 with a video in it, broken, or too many bytes, frames or pixels;
            found out before they are all decoded.
    """
    if len(data) > MAX_BYTES:
        raise ClipInvalid(f"The clip is {len(data)} bytes; at most {MAX_BYTES} are decoded.")
    pictures: list[Frames] = []
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            if not container.streams.video:
                raise ClipInvalid("The mp4 holds no video.")
            stream = container.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise ClipInvalid(
                    f"The clip is {stream.width}x{stream.height}; at most {MAX_PIXELS} pixels a "
                    "frame are decoded."
                )
            for frame in container.decode(stream):
                if len(pictures) == max_frames:
                    raise ClipInvalid(f"The clip has more than {max_frames} frames.")
                pictures.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
    except FFmpegError as error:
        raise ClipInvalid(f"The clip cannot be decoded as mp4: {error}") from error
    if not pictures:
        raise ClipInvalid("The mp4 holds no frames.")
    return np.stack(pictures)


def read_provenance(data: bytes) -> dict[str, Any]:
    """The JSON that :func:`encode_mp4` put into the file.

    Raises:
        ClipInvalid: not an mp4, or its ``comment`` is not a JSON object.
    """
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            found = json.loads(container.metadata.get("comment", ""))
    except (FFmpegError, ValueError) as error:
        raise ClipInvalid(f"The clip says nothing of its provenance: {error}") from error
    if not isinstance(found, dict):
        raise ClipInvalid("The clip's comment is JSON, though not a provenance.")
    return found


def enlarge(frames: Frames, size: tuple[int, int]) -> Frames:
    """Frames at another size, (F, height, width, 3); the very same if it is theirs already.

    Lanczos: drawn edges stay crisp without the stairs of nearest-neighbour.

    Args:
        frames: (F, H, W, 3).
        size: width and height.
    """
    _check(frames)
    if (frames.shape[2], frames.shape[1]) == size:
        return frames
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise ClipInvalid(
            f"Size {size[0]}x{size[1]} is not possible: 1 to {MAX_PIXELS} pixels.", param="size"
        )
    return np.stack(
        [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.LANCZOS)) for f in frames]
    )


def thumbnail(
    frames: Frames,
    size: tuple[int, int] | None = None,
    image_format: Literal["webp", "png"] = "webp",
) -> bytes:
    """The clip's middle frame as an image file, at the frames' own size or another."""
    _check(frames)
    middle = frames[len(frames) // 2, None]
    return to_image(enlarge(middle, size)[0] if size else middle[0], image_format)


def spritesheet(
    frames: Frames,
    tile: tuple[int, int] | None = None,
    image_format: Literal["webp", "png"] = "webp",
) -> bytes:
    """Every frame in one image, row by row, as near to a square as their number allows.

    The last row's missing tiles are black. ``tile`` is a tile's width and height, the frames' own
    if None.
    """
    _check(frames)
    tiles = enlarge(frames, tile) if tile else frames
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height, width = tiles.shape[1:3]
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet[row * height :, column * width :][:height, :width] = picture
    return to_image(sheet, image_format)


def to_image(picture: Frames, image_format: Literal["webp", "png"] = "png") -> bytes:
    """One picture, (H, W, 3), as the bytes of an image file; webp in high quality, png exact."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, image_format, quality=90)
    return buffer.getvalue()


def _check(frames: Frames) -> None:
    check_frames(frames, error=ClipInvalid)
