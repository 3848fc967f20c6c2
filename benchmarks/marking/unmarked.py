"""Unmarked clips: how often they look like ours, counted and by arithmetic."""

from __future__ import annotations

from math import erfc, exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.marking.chunks import Rows, column, measured
from benchmarks.marking.clips import rendered, video_ids
from benchmarks.results import rate
from marking.watermark import detect
from marking.watermark.bounds import FALSE_POSITIVES, false_positive_bound, needed_score
from marking.watermark.detect import SERVER_TESTS
from marking.watermark.frequencies import SERVER
from marking.watermark.signs import server_signs
from marking.watermark.spectra import evidence, scores_of_patterns, whitened_spectrum
from video.clip import decode_mp4, encode_mp4, enlarge

SIDE = 128
"""Pixels: detection shrinks larger clips to about as many, and ten thousand are encoded."""
FRAMES = 6
"""Half as many as the model makes."""
CHUNK = 250


def unmarked(work: Path, count: int) -> dict[str, Any]:
    """Measure `count` drawn clips without a mark, for each chunk with another secret."""
    rows = measured("unmarked", unmarked_chunk, count, CHUNK, work)
    scores = np.array(column(rows, "scores")).ravel()  # of each pattern at one position
    best = np.array(column(rows, "server_score"))
    needed = needed_score(SERVER_TESTS, FALSE_POSITIVES / 2)
    spread = float(scores.std())
    fitted, rate_of_decay = tail_of(best, needed)
    return {
        "clips": f"{count} drawn, {FRAMES} frames at {SIDE}x{SIDE}, a secret for every {CHUNK}",
        "said to be ours": rate(sum(column(rows, "ours")), count),
        "given a record": rate(sum(column(rows, "recorded")), count),
        "bits that agree": {
            "mean": round(float(np.mean(column(rows, "bits"))), 5),
            "n": count * 2 * len(SERVER),
        },
        "score of one test": {
            "mean": round(float(scores.mean()), 4),
            "standard deviation": round(spread, 4),
            "kurtosis": round(float(((scores - scores.mean()) ** 4).mean() / spread**4), 3),
            "n": len(scores),
        },
        "highest score of a clip": {
            "median": round(float(np.median(best)), 2),
            "largest": round(float(best.max()), 2),
            "needed": round(needed, 2),
        },
        "tests of a clip": SERVER_TESTS,
        "false positives of a clip": {
            # Twice: the record is a second way to be ours, with a bound as low.
            "bound for all pictures (Hoeffding)": _short(
                2 * false_positive_bound(needed, SERVER_TESTS)
            ),
            "normal tail with the measured deviation": _short(
                SERVER_TESTS * erfc(needed / spread / sqrt(2))
            ),
            "from the tail of the highest scores": _short(fitted),
            "decay of that tail, of exp(−z²/2)": round(rate_of_decay, 2),
        },
        "H11: at most 1 in 10^6, none seen": not any(column(rows, "ours"))
        and fitted <= FALSE_POSITIVES,
    }


def unmarked_chunk(first: int, count: int) -> Rows:
    """Look for marks in some clips that have none."""
    secret = f"secret of the clips from {first}".encode()
    candidates = video_ids()
    patterns = server_signs(secret)
    rows: Rows = []
    for number in range(first, first + count):
        drawn = enlarge(rendered(10**6 + number, FRAMES), (SIDE, SIDE))
        frames = decode_mp4(encode_mp4(drawn, 8))
        found = detect(frames, secret, candidates)
        picture, side = evidence(frames)
        spectrum = whitened_spectrum(picture, side)
        seen, bits = spectrum[SERVER], patterns[0]
        agrees = np.concatenate([seen.real * bits.real > 0, seen.imag * bits.imag > 0])
        rows.append(
            {
                "ours": found.is_ours,
                "recorded": found.clip_id is not None,
                "server_score": found.server_score,
                "clip_score": found.clip_score,
                "scores": scores_of_patterns(spectrum, SERVER, patterns, (0.0, 0.0)).tolist(),
                "bits": float(agrees.mean()),
            }
        )
    return rows


def _short(probability: float) -> float:
    return float(f"{probability:.2e}")


def tail_of(best: np.ndarray[Any, np.dtype[Any]], needed: float) -> tuple[float, float]:
    """Return the probability of the needed score by the tail of the highest ones, and its decay.

    Above their 90th percentile q, scores are taken to exceed z with 0.1·exp(−d·(z² − q²) ÷ 2); d is
    the maximum of the likelihood (the exponential excesses of extreme value theory, in z²).
    """
    edge = float(np.quantile(best, 0.9))
    excess = (best[best > edge] ** 2 - edge**2) / 2
    decay = 1 / float(excess.mean())
    return 0.1 * exp(-decay * (needed**2 - edge**2) / 2), decay
