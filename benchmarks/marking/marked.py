"""Marked clips: found after each alteration, with their record; and what the mark costs."""

from __future__ import annotations

from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.marking.alterations import ALTERATIONS, GOALS
from benchmarks.marking.chunks import Rows, column, measured
from benchmarks.marking.clips import (
    SECRET,
    SIDE,
    WINDOW,
    generated,
    load_model,
    rendered,
    video_ids,
)
from benchmarks.results import rate, ratio
from marking.watermark import detect, mark
from video.clip import decode_mp4, encode_mp4, enlarge
from video.frames import Frames


def marked(work: Path, count: int) -> dict[str, Any]:
    """Measure `count` clips, every second one made by the model, the others drawn."""
    rows = measured("marked", marked_chunk, count, 10, work)
    found = {name: _found([row[name] for row in rows if name in row]) for name in ALTERATIONS}
    made = [row for row in rows if row["making_s"]]
    with_mark = [sum(row[key] for key in ("making_s", "mark_s", "marked_s")) for row in made]
    without = [sum(row[key] for key in ("making_s", "plain_s")) for row in made]
    psnr = column(rows, "psnr")
    return {
        "clips": f"{count} at {SIDE}x{SIDE}, {len(made)} by the built-in model, the others drawn",
        "candidates": WINDOW,
        "alterations": found,
        "H11: found and recorded as often as it says": all(
            min(found[name]["ours"]["rate"], found[name]["record"]["rate"]) >= goal
            for name, goal in GOALS.items()
        ),
        "unmarked, said to be ours": sum(column(rows, "unmarked")),
        "another server's, said to be ours": sum(column(rows, "foreign")),
        "PSNR, dB": {
            "mean": round(float(np.mean(psnr)), 2),
            "lowest": round(min(psnr), 2),
        },
        "CPU seconds of the mark": ratio(column(rows, "mark_s")),
        "CPU seconds of the detection": ratio(column(rows, "detect_s")),
        "S12: a clip's CPU seconds with the watermark, of those without": ratio(with_mark, without),
        "bytes of the file with the mark, of those without": ratio(
            column(rows, "marked_bytes"), column(rows, "plain_bytes")
        ),
    }


def _found(rows: Rows) -> dict[str, Any]:
    scores = [round(min(column(rows, key)), 1) for key in ("server_score", "clip_score")]
    return {
        "ours": rate(sum(column(rows, "ours")), len(rows)),
        "record": rate(sum(column(rows, "right")), len(rows)),
        "wrong record": sum(column(rows, "wrong")),
        "lowest scores": scores,
    }


def marked_chunk(first: int, count: int) -> Rows:
    """Mark, encode, alter and look for some clips; return what was found of each."""
    load_model()
    return [_row(number) for number in range(first, first + count)]


def _row(number: int) -> dict[str, Any]:
    candidates = video_ids()
    clip_id = candidates[number % WINDOW]
    by_model = number % 2 == 0
    started = process_time()
    small = generated(number) if by_model else rendered(number)
    plain = enlarge(small, (SIDE, SIDE))
    enlarged = process_time()
    plain_file = encode_mp4(plain, 8)
    before = process_time()
    frames = mark(plain, SECRET, clip_id)
    between = process_time()
    file = encode_mp4(frames, 8)
    after = process_time()
    delivered = decode_mp4(file)
    row: dict[str, Any] = {
        "making_s": enlarged - started if by_model else 0,
        "plain_s": before - enlarged,
        "mark_s": between - before,
        "marked_s": after - between,
        "plain_bytes": len(plain_file),
        "marked_bytes": len(file),
        "psnr": psnr(frames, plain),
        "unmarked": detect(decode_mp4(plain_file), SECRET, candidates).is_ours,
        "foreign": detect(delivered, b"the secret of another server", candidates).is_ours,
    }
    for name, alter in ALTERATIONS.items():
        if name not in GOALS and number % 4 > 1:
            continue  # half of the model's clips and half of the drawn ones are enough
        altered = alter(delivered)
        started = process_time()
        found = detect(altered, SECRET, candidates)
        row["detect_s"] = process_time() - started
        row[name] = {
            "ours": found.is_ours,
            "right": found.clip_id == clip_id,
            "wrong": found.clip_id not in (clip_id, None),
            "server_score": found.server_score,
            "clip_score": found.clip_score,
        }
    return row


def psnr(frames: Frames, others: Frames) -> float:
    """Return the peak signal-to-noise ratio of two clips (F,H,W,3), in dB."""
    squares = (frames.astype(np.float32) - others) ** 2
    return float(10 * np.log10(255**2 / squares.mean()))
