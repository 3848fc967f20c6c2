"""The marking benchmark: its chunks, its alterations, and the tail of its scores."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.marking.alterations import ALTERATIONS, GOALS
from benchmarks.marking.chunks import Rows, column, measured
from benchmarks.marking.marked import marked
from benchmarks.marking.unmarked import tail_of
from starter.scene import sample_scene


def timed_chunk(first: int, count: int) -> Rows:
    """Return each clip's number, and when it was measured."""
    return [{"clip": {"number": first + k}, "at": time.time()} for k in range(count)]


def test_chunks_are_in_order_and_measured_once(tmp_path: Path) -> None:
    rows = measured("timed", timed_chunk, 5, 2, tmp_path)
    assert column(rows, "clip", "number") == [0, 1, 2, 3, 4]
    (tmp_path / "timed").mkdir()
    assert measured("timed", timed_chunk, 5, 2, tmp_path) == rows
    last = next(tmp_path.glob("timed-*/4-1.json"))
    last.unlink()
    again = measured("timed", timed_chunk, 5, 2, tmp_path)
    assert again[:4] == rows[:4]
    assert again[4]["at"] > rows[4]["at"]


def test_alterations_have_the_sizes_they_say() -> None:
    frames = np.repeat(sample_scene(np.random.default_rng(0)).clip(12), 4, axis=1).repeat(4, axis=2)
    shapes = {name: alter(frames).shape[:3] for name, alter in ALTERATIONS.items()}
    assert set(GOALS) < set(shapes)
    assert shapes["crf 28"] == (12, 256, 256)
    assert shapes["scaled to half, crf 23"] == (12, 128, 128)
    assert shapes["cropped by 5 % at each side, crf 23"] == (12, 230, 230)
    assert shapes["trimmed to half its frames, crf 23"] == (6, 256, 256)
    assert shapes["all: trimmed, cropped, half, crf 28"] == (6, 114, 114)


def test_the_tail_of_known_scores() -> None:
    """Scores z with P(z²/2 > 12 + t) = exp(-t): the chance of 8 is exp(12 - 32)."""
    excess = np.random.default_rng(0).exponential(size=20_000)
    probability, decay = tail_of(np.sqrt(2 * (12 + excess)), 8.0)
    assert decay == pytest.approx(1, abs=0.06)
    assert np.log(probability) == pytest.approx(12 - 32, abs=2)


@pytest.mark.slow
def test_marked_clips_of_the_model_are_found(tmp_path: Path) -> None:
    found = marked(tmp_path, 2)
    assert found["H11: found and recorded as often as it says"] is True
    assert found["unmarked, said to be ours"] == 0
    assert found["another server's, said to be ours"] == 0
    assert found["PSNR, dB"]["lowest"] > 42
