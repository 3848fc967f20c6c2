"""Averaging: what learns the server's patterns from many marked clips, and subtracts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.marking.chunks import Rows, column, measured
from benchmarks.marking.clips import SECRET, rendered, video_ids
from benchmarks.marking.marked import psnr
from benchmarks.results import rate
from marking.watermark import detect, mark
from marking.watermark.bounds import FALSE_POSITIVES, false_positive_bound
from marking.watermark.detect import SERVER_TESTS
from marking.watermark.pictures import Picture, blurred
from marking.watermark.signs import SERVER_PATTERNS, server_number
from video.clip import enlarge
from video.frames import Frames

SIDE = 128
ATTACKED = 20
GAINS = (1.0, 2.0, 4.0, 8.0)


def averaging(work: Path, count: int) -> dict[str, Any]:
    """Average `count` marked clips, and try to remove the mark of others.

    A first attacker averages all clips. A second has sorted them by the server's pattern, which the
    benchmark does for him, and averages those with the pattern of the clip that he attacks. Both
    subtract their average as strongly as removes the server's mark best on average, which they
    learn from the detector.
    """
    rows = measured("averaging", residual_chunk, count, 100, work)
    averages = np.zeros((SERVER_PATTERNS, SIDE, SIDE))
    for row in rows:
        averages[row["pattern"]] += np.array(row["sum"])
    counts = [
        sum(row["count"] for row in rows if row["pattern"] == pattern)
        for pattern in range(SERVER_PATTERNS)
    ]
    everything = averages.sum(axis=0) / sum(counts)
    sorted_out = [total / max(1, n) for total, n in zip(averages, counts, strict=True)]
    return {
        "clips averaged": sum(counts),
        "of each pattern": f"{min(counts)} to {max(counts)}",
        "before": _attacked([np.zeros((SIDE, SIDE))] * SERVER_PATTERNS, (1.0,)),
        "subtracting the average of all": _attacked([everything] * SERVER_PATTERNS, GAINS),
        "subtracting the average of the same pattern": _attacked(sorted_out, GAINS),
    }


def residual_chunk(first: int, count: int) -> Rows:
    """Mark some drawn clips; return what is left of them without their contents, by pattern."""
    sums = np.zeros((SERVER_PATTERNS, SIDE, SIDE))
    counts = [0] * SERVER_PATTERNS
    for number in range(first, first + count):
        clip_id = f"averaged {number}"
        frames = mark(enlarge(rendered(2 * 10**6 + number), (SIDE, SIDE)), SECRET, clip_id)
        pattern = server_number(SECRET, clip_id)
        sums[pattern] += _details(frames)
        counts[pattern] += 1
    return [
        {"pattern": pattern, "count": counts[pattern], "sum": sums[pattern].round(2).tolist()}
        for pattern in range(SERVER_PATTERNS)
    ]


def _details(frames: Frames) -> Picture:
    """Return the high-passed mean of frames without edges: an attacker's guess of the residual."""
    gray = frames.mean(axis=(0, 3), dtype=np.float32)
    return np.clip(gray - blurred(gray, 4), -4, 4)


def _attacked(estimates: list[Any], gains: tuple[float, ...]) -> dict[str, Any]:
    """Subtract the estimate for each clip's pattern; return the gain with the lowest scores."""
    tried = [(gain, _with_gain(estimates, gain)) for gain in gains]
    gain, rows = min(tried, key=lambda one: float(np.mean(column(one[1], "server_score"))))
    return {
        "gain": gain,
        "ours by the server's half": rate(sum(column(rows, "by_server")), len(rows)),
        "ours with the clip among the candidates": rate(sum(column(rows, "ours")), len(rows)),
        "record": rate(sum(column(rows, "right")), len(rows)),
        "median scores": [
            round(float(np.median(column(rows, key))), 1) for key in ("server_score", "clip_score")
        ],
        "PSNR to the unmarked clip, dB": round(float(np.mean(column(rows, "psnr"))), 1),
    }


def _with_gain(estimates: list[Any], gain: float) -> Rows:
    rows: Rows = []
    for number, clip_id in enumerate(video_ids(ATTACKED)):
        plain = enlarge(rendered(3 * 10**6 + number), (SIDE, SIDE))
        estimate = gain * estimates[server_number(SECRET, clip_id)]
        marked = mark(plain, SECRET, clip_id)
        attacked = np.clip(np.rint(marked - estimate[..., None]), 0, 255).astype(np.uint8)
        found = detect(attacked, SECRET, video_ids())
        rows.append(
            {
                "by_server": 2 * false_positive_bound(found.server_score, SERVER_TESTS)
                <= FALSE_POSITIVES,
                "ours": found.is_ours,
                "right": found.clip_id == clip_id,
                "server_score": found.server_score,
                "clip_score": found.clip_score,
                "psnr": psnr(attacked, plain),
            }
        )
    return rows
