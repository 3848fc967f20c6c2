"""Functions that turn clips and verdicts into figures. The benchmarks themselves take hours."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from benchmarks import results
from benchmarks.harness import Harness, weights_mark
from benchmarks.starter import MARGIN, ClipCase, cases, sheet, stillness
from starter.captions import STYLE_WORDS, SUBJECT_WORDS
from starter.motions import MOTIONS
from starter.scene import SUBJECTS
from starter.styles import STYLES
from unlearn.trial.intervals import wilson
from video.capabilities import Capabilities


def grey(level: int, frames: int = 6) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((frames, 32, 32, 3), level, np.uint8)


def test_a_clip_that_holds_still_has_no_change() -> None:
    assert stillness(grey(90)) == (0.0, 0.0)


def test_a_flicker_is_a_change_by_its_strongest_colour() -> None:
    clip = grey(90)
    clip[1::2, :, :, 1] += 7
    assert stillness(clip) == (7.0, 0.0)


def test_a_subject_that_moves_does_not_count_and_its_surroundings_do() -> None:
    clip = grey(0)
    for frame in range(len(clip)):
        clip[frame, 10:18, 4 + frame : 12 + frame] = 255
    change, moving = stillness(clip)
    # A column at each end of the square changes, and leaves out the pixels around it with it.
    assert change == 0.0
    assert moving == pytest.approx(2 * (8 + 2 * MARGIN) * (1 + 2 * MARGIN) / 32**2, rel=0.1)
    clip[1::2, 25:] += 3
    assert stillness(clip)[0] == pytest.approx(3 * 7 * 32 / (32**2 * (1 - moving)), rel=1e-6)


def test_where_everything_moves_the_change_is_all_of_it() -> None:
    clip = grey(0)
    clip[1::2] = 100
    assert stillness(clip) == (100.0, 1.0)


def test_cases_ask_for_every_concept_and_every_motion() -> None:
    capabilities = Capabilities(native_width=64, native_height=64, frames_max=24)
    running = cast(Harness, SimpleNamespace(backbone=SimpleNamespace(capabilities=capabilities)))
    found = cases(running, 2)
    assert [case.concept for case in found] == [c for c in (*SUBJECTS, *STYLES) for _ in range(2)]
    assert [case.scene.motion for case in found[:6]] == list(MOTIONS)
    assert len({case.request.seed for case in found}) == len(found)
    for case in found:
        words = STYLE_WORDS if case.kind == "style" else SUBJECT_WORDS
        assert words[case.concept][0] in case.request.prompt
        assert case.concept == (case.scene.style if case.kind == "style" else case.scene.subject)
        assert case.request.frames == capabilities.frames_default


def test_the_sheet_has_a_row_for_each_concept_and_goes_through_their_clips() -> None:
    names = ("pogo", "pogo", "teapot", "teapot")
    found = [cast(ClipCase, SimpleNamespace(concept=name)) for name in names]
    pictures = np.asarray(sheet(found, [grey(10), grey(20), grey(30), grey(40)]))
    assert pictures.shape == (64, 6 * 32, 3)
    assert [int(row) for row in pictures[[0, -1], 0, 0]] == [10, 40]


def test_a_rate_has_its_interval_and_reads_well() -> None:
    figure = results.rate(292, 300)
    low, high = wilson(292, 300)
    assert figure == {"rate": 0.9733, "interval": [round(low, 4), round(high, 4)], "n": 300}
    assert results.rate_text(figure) == "97.3 % (94.8 to 98.6, n = 300)"


def test_a_ratio_of_pairs_has_a_bootstrap_interval_around_it() -> None:
    values = [1.0, 2.0, 3.0, 2.0, 2.0]
    plain = results.ratio(values)
    assert (plain["mean"], plain["n"]) == (2.0, 5)
    assert 1.0 < plain["interval"][0] < 2.0 < plain["interval"][1] < 3.0
    # Pairs in proportion leave no doubt about the proportion, however much they differ.
    assert results.ratio(values, [2 * v for v in values]) == {
        "mean": 0.5,
        "interval": [0.5, 0.5],
        "n": 5,
    }
    assert results.mean_text({"mean": 0.5, "interval": [0.25, 1.0], "n": 5}, 100) == (
        "50.00 (25.00 to 100.00, n = 5)"
    )


def test_figures_are_written_with_the_machine_they_were_made_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    path = results.write("some", {"seen": results.rate(1, 2)})
    written = json.loads(path.read_text())
    assert path == tmp_path / "results" / "some.json"
    assert written["seen"]["n"] == 2
    assert {"processor", "cores", "threads", "gpu", "torch", "commit", "at"} <= set(
        written["machine"]
    )
    assert written["machine"]["processor"]


def test_counts_of_other_weights_are_not_taken_for_these(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "weights").write_bytes(b"one")
    before = weights_mark(tmp_path)
    assert weights_mark(tmp_path) == before
    (tmp_path / "unet" / "weights").write_bytes(b"two")
    after = weights_mark(tmp_path)
    (tmp_path / "unet" / "weights").rename(tmp_path / "unet" / "others")
    assert len({before, after, weights_mark(tmp_path)}) == 3
