"""Figures on record: which of them a run over some methods keeps."""

from __future__ import annotations

from benchmarks.forgetting.on_record import with_recorded

MACHINE = {"commit": "old", "at": "yesterday"}


def test_a_run_over_one_method_keeps_the_others_as_they_were_measured() -> None:
    before = {
        "machine": MACHINE,
        "floor": 1.0,
        "methods": {"redirect": {"style": 1, "object": 2}, "ascent": {"style": 3}},
    }
    merged = with_recorded("table", {"floor": 4.0, "methods": {"redirect": {"style": 5}}}, before)
    assert merged == {
        "floor": 4.0,
        "methods": {"redirect": {"style": 5}, "ascent": {"style": 3}},
        "measured": {"ascent": MACHINE},
    }


def test_a_figure_that_was_kept_twice_names_its_own_run() -> None:
    before = {
        "machine": {"commit": "later"},
        "redirect": {"soft prefix": 1},
        "ascent": {"soft prefix": 2},
        "measured": {"ascent": MACHINE},
    }
    merged = with_recorded("attacks", {"UCE": {"soft prefix": 3}}, before)
    assert list(merged) == ["redirect", "ascent", "UCE", "measured"]
    assert merged["measured"] == {"redirect": {"commit": "later"}, "ascent": MACHINE}


def test_without_figures_on_record_there_are_those_of_the_run() -> None:
    figures = {"redirect": {"soft prefix": 1}}
    assert with_recorded("attacks", figures, {}) == {**figures, "measured": {}}
