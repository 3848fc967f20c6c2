"""Picture of the residual: frames, the same marked, and the difference, magnified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.marking.clips import SECRET, SIDE, generated, video_ids
from marking.watermark import mark
from video.clip import enlarge

MAGNIFIED = 20
"""Times: a residual of one level is shown as twenty."""
_CLIPS = 2


def save_residual(path: Path) -> None:
    """Save two clips' middle frames: unmarked, marked, and the difference × 20 around grey."""
    rows: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []
    for number, clip_id in enumerate(video_ids(_CLIPS)):
        plain = enlarge(generated(number), (SIDE, SIDE))
        middle = len(plain) // 2
        before, after = plain[middle], mark(plain, SECRET, clip_id)[middle]
        difference = 128 + MAGNIFIED * (after.astype(int) - before)
        shown = np.clip(difference, 0, 255).astype(np.uint8)
        rows.append(np.concatenate([before, after, shown], axis=1))
    # All colours: a palette would change the frames more than the mark does.
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)
