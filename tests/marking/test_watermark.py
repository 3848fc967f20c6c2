"""The watermark: marked clips are found after what copies go through, others are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.marking.alterations import cropped, cropped_in_a_corner, scaled, trimmed
from marking.watermark import Detection, detect, mark
from marking.watermark.bounds import FALSE_POSITIVES
from marking.watermark.signs import server_number
from tests.marking.watermark_clips import (
    CANDIDATES,
    CLIP,
    OTHER_SECRET,
    SECRET,
    copied,
    delivered,
    drawn,
)
from video.frames import Frames


@pytest.fixture(scope="module")
def marked() -> Frames:
    """Return a marked clip as it is delivered."""
    return delivered(mark(drawn(), SECRET, CLIP))


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda frames: frames, id="as delivered"),
        pytest.param(lambda frames: copied(frames, 23), id="crf 23"),
        pytest.param(lambda frames: copied(frames, 28), id="crf 28"),
        pytest.param(lambda frames: copied(scaled(frames)), id="half"),
        pytest.param(lambda frames: copied(cropped(frames)), id="cropped at each side"),
        pytest.param(lambda frames: copied(cropped_in_a_corner(frames)), id="cropped in a corner"),
        pytest.param(lambda frames: copied(trimmed(frames)), id="trimmed"),
        pytest.param(lambda frames: copied(frames[2:3]), id="one frame"),
        pytest.param(lambda frames: frames[:, 7:-20, 3:-31], id="cropped unevenly"),
    ],
)
def test_a_marked_clip_is_found_with_its_record(
    marked: Frames, alter: Callable[[Frames], Frames]
) -> None:
    found = detect(alter(marked), SECRET, CANDIDATES)
    assert found.is_ours
    assert found.bound <= FALSE_POSITIVES
    assert found.clip_id == CLIP
    assert found.clip_bound <= FALSE_POSITIVES


def test_the_share_that_a_crop_kept_is_found(marked: Frames) -> None:
    assert detect(cropped(marked), SECRET, []).kept == pytest.approx(0.9, abs=0.004)
    assert detect(marked, SECRET, []).kept == 1


@pytest.mark.parametrize("style", ["plain", "dottie", "inkara"])
def test_an_unmarked_clip_is_not_ours(style: str) -> None:
    _assert_not_ours(detect(delivered(drawn(style)), SECRET, CANDIDATES))


def test_another_servers_clip_is_not_ours(marked: Frames) -> None:
    assert detect(marked, SECRET, []).is_ours
    _assert_not_ours(detect(marked, OTHER_SECRET, CANDIDATES))


def test_a_clip_that_is_no_candidate_has_no_record(marked: Frames) -> None:
    found = detect(marked, SECRET, [name for name in CANDIDATES if name != CLIP])
    assert found.is_ours
    assert found.clip_id is None
    assert found.clip_bound > FALSE_POSITIVES


def test_without_candidates_a_clip_is_ours_and_has_no_record(marked: Frames) -> None:
    found = detect(marked, SECRET, [])
    assert found.is_ours
    assert (found.clip_id, found.clip_score) == (None, 0)


def test_more_candidates_than_are_compared_at_once(marked: Frames) -> None:
    many = [f"older {number}" for number in range(5000)]
    assert detect(marked, SECRET, [*many, CLIP]).clip_id == CLIP


def test_the_clips_half_alone_is_enough_if_it_is_a_candidate() -> None:
    """Subtract the mark of another clip with the same pattern of the server: only that one goes."""
    frames = drawn()
    marked = mark(frames, SECRET, CLIP).astype(int)
    twin = next(
        mark(frames, SECRET, name).astype(int) - frames
        for name in CANDIDATES
        if name != CLIP and _same_pattern(name)
    )
    attacked = np.clip(marked - twin, 0, 255).astype(np.uint8)
    assert not detect(attacked, SECRET, []).is_ours
    found = detect(attacked, SECRET, CANDIDATES)
    assert found.is_ours
    assert found.clip_id == CLIP


def _same_pattern(name: str) -> bool:
    return server_number(SECRET, name) == server_number(SECRET, CLIP)


def _assert_not_ours(found: Detection) -> None:
    assert not found.is_ours
    assert found.bound > FALSE_POSITIVES
    assert found.clip_id is None
