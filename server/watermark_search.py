"""The search for a watermark in a file, in a process of its own: the file may be anything."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from marking.apart import limited, run_apart
from marking.watermark.detect import Detection, detect

if TYPE_CHECKING:
    from video.frames import Frames


def find_apart(data: bytes, secret: bytes, candidates: Sequence[str]) -> Detection | None:
    """Look for the server's mark in a file of strangers.

    Args:
        data: The file.
        secret: The server's.
        candidates: Ids of the clips that it may be of.

    Returns:
        None if the file holds no frames that can be read.

    Raises:
        MarkInvalid: Reading the file took too long or too much memory, or killed the process.
    """
    found = json.loads(run_apart(__name__, data, secret=secret.hex(), candidates=list(candidates)))
    return None if found is None else Detection(**found)


def main() -> None:
    """Look for the mark in the file on standard input."""

    def work(data: bytes, secret: str, candidates: Sequence[str]) -> str:
        frames = _frames(data)
        if frames is None:
            return "null"
        return json.dumps(asdict(detect(frames, bytes.fromhex(secret), candidates)))

    limited(work)


def _frames(data: bytes) -> Frames | None:
    """Return the frames of a clip or a picture, (F,H,W,3); None if they cannot be read."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from video.clip import MAX_PIXELS, ClipInvalid, decode_mp4

    try:
        if data[4:8] == b"ftyp":
            return decode_mp4(data)
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            return np.asarray(image.convert("RGB"))[None]
    except (ClipInvalid, UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
