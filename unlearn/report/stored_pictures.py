"""Pictures of a stored report, made again from its clips and stills, for a page made again."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from unlearn.report.model import Report
from unlearn.report.pictures import Inline, preview, still, strip
from video.clip import decode_mp4


def stored_pictures(report: Report, read: Callable[[str], bytes]) -> dict[str, tuple[Inline, ...]]:
    """Make the pictures that `render_page` embeds, from the stored files of a report.

    The first call for a report takes some tenths of a second for each clip.

    Args:
        report: The report; of a `reduced` one the encoder's pictures alone are read.
        read: Returns the content of one of the report's files.
    """
    return {name: _pictures(name, read(name), report.sampling.fps) for name in report.files}


@lru_cache(maxsize=64)  # the files of one or two reports
def _pictures(name: str, data: bytes, fps: int) -> tuple[Inline, ...]:
    if name.endswith(".mp4"):
        frames = decode_mp4(data)
        return preview(frames, fps), strip(frames)
    with Image.open(io.BytesIO(data)) as image:
        return (still(np.asarray(image.convert("RGB"))[None]),)
