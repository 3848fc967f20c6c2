"""Embedding: what it changes in frames of any shape, and that it does so each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marking.watermark import detect, mark
from tests.marking.watermark_clips import CANDIDATES, CLIP, SECRET, delivered, drawn
from video.frames import Frames


def psnr(frames: Frames, others: Frames) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    return float(10 * np.log10(255**2 / np.mean((frames.astype(float) - others) ** 2)))


@pytest.mark.parametrize("style", ["plain", "dottie", "inkara"])
def test_a_drawn_clip_keeps_42_db(style: str) -> None:
    frames = drawn(style)
    assert psnr(mark(frames, SECRET, CLIP), frames) > 42


def test_noise_keeps_42_db() -> None:
    """Noise has texture everywhere, so the residual is as strong as it gets."""
    frames = np.random.default_rng(0).integers(60, 196, (2, 256, 256, 3), dtype=np.uint8)
    assert 42 < psnr(mark(frames, SECRET, CLIP), frames) < 43


def test_the_same_arguments_give_the_same_frames() -> None:
    frames = drawn(side=256)
    before = frames.copy()
    assert np.array_equal(mark(frames, SECRET, CLIP), mark(frames, SECRET, CLIP))
    assert np.array_equal(frames, before)


def test_each_clip_and_each_secret_has_a_mark_of_its_own() -> None:
    frames = drawn(side=256)
    marked = mark(frames, SECRET, CLIP)
    assert not np.array_equal(marked, mark(frames, SECRET, "another"))
    assert not np.array_equal(marked, mark(frames, SECRET[::-1], CLIP))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_clip_is_marked(level: int) -> None:
    frames = np.full((4, 256, 256, 3), level, np.uint8)
    assert not detect(delivered(frames), SECRET, CANDIDATES).is_ours
    found = detect(delivered(mark(frames, SECRET, CLIP)), SECRET, CANDIDATES)
    assert (found.is_ours, found.clip_id) == (True, CLIP)


def test_512_frames_are_marked() -> None:
    frames = np.resize(drawn(side=128), (512, 128, 128, 3))
    found = detect(mark(frames, SECRET, CLIP), SECRET, CANDIDATES)
    assert (found.is_ours, found.clip_id) == (True, CLIP)


@pytest.mark.parametrize("shape", [(1, 135, 241), (3, 480, 208), (2, 101, 997)])
def test_odd_and_wide_frames_are_marked(shape: tuple[int, int, int]) -> None:
    steps = np.linspace(0, 200, shape[2]).astype(np.uint8)
    frames = np.broadcast_to(steps[None, None, :, None], (*shape, 3)).copy()
    found = detect(mark(frames, SECRET, CLIP), SECRET, CANDIDATES)
    assert (found.is_ours, found.clip_id) == (True, CLIP)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 5),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    seed=st.integers(0, 2**16),
)
def test_frames_of_any_shape_keep_it_and_change_little(
    count: int, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    marked = mark(frames, SECRET, CLIP)
    assert marked.shape == frames.shape
    assert marked.dtype == np.uint8
    assert np.abs(marked.astype(int) - frames).max() < 16
    if min(height, width) <= 12:
        assert np.array_equal(marked, frames)
    assert not detect(frames, SECRET, [CLIP]).is_ours


def test_a_short_secret_is_refused() -> None:
    frames = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="7 bytes; it has to be 16 or more"):
        mark(frames, b"7 bytes", CLIP)
    with pytest.raises(ValueError, match="7 bytes; it has to be 16 or more"):
        detect(frames, b"7 bytes", [])


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 4), np.uint8),
        np.zeros((1, 8, 8, 3), np.float32),
    ],
)
def test_what_is_no_frames_is_refused(frames: Frames) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 \(F,H,W,3\) and not empty"):
        mark(frames, SECRET, CLIP)
    with pytest.raises(ValueError, match=r"must be uint8 \(F,H,W,3\) and not empty"):
        detect(frames, SECRET, [])
