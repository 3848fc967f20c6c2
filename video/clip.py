"""Clips as files: frames to mp4 with provenance, and back; thumbnails and spritesheets."""

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
"""Largest number of frames to decode."""
MAX_PIXELS = 2048 * 2048
"""Largest number of pixels of a frame, encoded or decoded."""
MAX_BYTES = 64 << 20
"""Largest mp4 to decode, in bytes."""


class ClipInvalid(PalimpsestError, ValueError):
    """Frames that cannot be encoded as a clip, or bytes that cannot be decoded as one."""

    code = "clip_invalid"


def encode_mp4(
    frames: Frames,
    fps: float,
    size: tuple[int, int] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode frames as H.264 in mp4, for any player and browser, ready to stream (index first).

    The same arguments give the same bytes.

    Args:
        frames: (F,H,W,3).
        fps: frames per second, above 0 and at most 240.
        size: width and height in pixels, the frames' own if None. Rounded up to even numbers, since
            H.264 halves the resolution of its colours.
        provenance: JSON for the file's `comment`, the only tag that every muxer keeps; read it with
            `read_provenance`, or with any tool that shows a file's tags.

    Raises:
        ClipInvalid: there are no frames, they are not (F,H,W,3) `uint8`, or `fps` is out of range.
    """
    if not 0 < fps <= 240:
        raise ClipInvalid(f"fps is {fps}; it has to be above 0 and at most 240.", param="fps")
    _check(frames)
    pictures = enlarge(frames, even_size(*(size or (frames.shape[2], frames.shape[1]))))
    # To move the index to the front, the muxer rewrites the file, which it cannot do in memory.
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
            if provenance is not None:
                container.metadata["comment"] = json.dumps(provenance, sort_keys=True)
            rate = Fraction(fps).limit_denominator(1001)
            # One thread: the bytes depend on the number of threads.
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
    """Decode every frame of an mp4: (F,H,W,3). Safe for untrusted bytes.

    Args:
        data: the file.
        max_frames: largest number of frames.

    Raises:
        ClipInvalid: the data is not an mp4 with a video, is broken, or exceeds the limit of bytes,
            frames or pixels; the excess is never decoded.
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
    """Read the JSON that `encode_mp4` put into a file.

    Raises:
        ClipInvalid: the data is not an mp4, or its `comment` is not a JSON object.
    """
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            found = json.loads(container.metadata.get("comment", ""))
    except (FFmpegError, ValueError) as error:
        raise ClipInvalid(f"The clip has no provenance that can be read: {error}") from error
    if not isinstance(found, dict):
        raise ClipInvalid("The clip's comment is JSON, but not a provenance.")
    return found


def even_size(width: int, height: int) -> tuple[int, int]:
    """Return the size that a clip is delivered in: rounded up to even numbers."""
    return width + width % 2, height + height % 2


def enlarge(frames: Frames, size: tuple[int, int]) -> Frames:
    """Resize frames: (F,height,width,3); the same array if the size is unchanged.

    With Lanczos: drawn edges stay crisp without the stairs of nearest-neighbour.

    Args:
        frames: (F,H,W,3).
        size: width and height in pixels.

    Raises:
        ClipInvalid: the frames are not (F,H,W,3) `uint8`, or the size is empty or too large.
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
    """Encode the middle frame as an image file, at the frames' own size or another."""
    _check(frames)
    middle = frames[len(frames) // 2, None]
    return to_image(enlarge(middle, size)[0] if size else middle[0], image_format)


def spritesheet(
    frames: Frames,
    tile: tuple[int, int] | None = None,
    image_format: Literal["webp", "png"] = "webp",
) -> bytes:
    """Encode all frames as one image, row by row, in nearly as many rows as columns.

    Missing tiles of the last row are black.

    Args:
        frames: (F,H,W,3).
        tile: width and height of a tile in pixels, the frames' own if None.
        image_format: of the file.
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
    """Encode one picture (H,W,3) as an image file: webp in high quality, png without loss."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, image_format, quality=90)
    return buffer.getvalue()


def _check(frames: Frames) -> None:
    check_frames(frames, error=ClipInvalid)
