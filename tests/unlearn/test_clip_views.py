"""The CLIP judge: what it looks at, and how much its verdicts depend on its list of labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unlearn.clip_help import COLOUR_BOOK, of_colour, seeing_dir
from unlearn.judges.clip import THRESHOLD, ClipJudge
from unlearn.judges.clip_prompts import COUNTS, DISTRACTORS, labels_for
from unlearn.judges.clip_views import VIEWS, views
from unlearn.judges.seen import verdict_changes

__all__ = ["seeing_dir"]


def test_what_stands_at_the_side_of_a_wide_frame_is_seen(seeing_dir: Path) -> None:
    """A grey frame, twice as wide as high, with red at its left end, outside the middle square."""
    judge = ClipJudge.load(seeing_dir, COLOUR_BOOK)
    frames = np.concatenate([of_colour("grey", 2, seed=4)] * 2, axis=2)
    assert judge.shows(frames, "red", "object") == [False, False]
    frames[1, :, :56] = of_colour("red", 1, seed=5)[0]
    middle = judge.probabilities(frames, labels_for("red", "object", ["blue"], COLOUR_BOOK))
    assert judge.shows(frames, "red", "object") == [False, True]
    frames[1, :, 28:84] = of_colour("grey", 1, seed=6)[0]
    middle = judge.probabilities(frames[1:], labels_for("red", "object", ["blue"], COLOUR_BOOK))
    assert middle[0, 0] < THRESHOLD


@given(st.integers(1, 3), st.integers(3, 40), st.integers(3, 40))
def test_views_cover_every_pixel(count: int, height: int, width: int) -> None:
    frames = np.zeros((count, height, width, 3), np.uint8)
    side = min(height, width)
    assert views(frames).shape == (count * VIEWS, side, side, 3)
    for y, x in ((0, 0), (height - 1, 0), (0, width - 1), (height - 1, width - 1), (0, width // 2)):
        lit = frames.copy()
        lit[:, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 255
        assert (
            views(lit).reshape(count, VIEWS, -1).any(2).sum(1).min() >= 2
        )  # the whole, and a tile


def test_a_verdict_that_depends_on_the_number_of_distractors_is_told(seeing_dir: Path) -> None:
    judge = ClipJudge.load(seeing_dir, COLOUR_BOOK)
    frames = of_colour("red", 3, seed=2)
    by_count = judge.by_distractors(frames, "red", "object")
    assert list(by_count) == list(COUNTS)
    counts = [sum(shown) for shown in by_count.values()]
    assert counts == sorted(counts, reverse=True)  # more alternatives never make it likelier
    changed = verdict_changes(judge, frames, "red", "object", any)
    assert changed == (len({count > 0 for count in counts}) > 1)
    assert len(DISTRACTORS) == COUNTS[-1]
