"""Figures on record: a run over some methods keeps the other methods' figures of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks import results
from benchmarks.forgetting.experiment import BASE
from benchmarks.forgetting.methods import COMPARED

WITH_METHODS = ("table", "attacks")
"""The parts whose figures stand by the method, so that some can be measured anew."""


def recorded(part: str) -> dict[str, Any]:
    """Return a part's figures as its results file has them; empty without a file."""
    path = results.RESULTS / f"forgetting-{part}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def with_recorded(part: str, figures: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return new figures together with the earlier figures of the methods that were not measured.

    `measured` says by the method on which machine, at which commit and when an earlier figure was
    measured.

    Args:
        part: one of `WITH_METHODS`.
        figures: the new figures; a method's new figures replace all its earlier ones.
        before: the figures on record.
    """
    now = _by_method(part, figures)
    then = {name: one for name, one in _by_method(part, before).items() if name not in now}
    earlier: Mapping[str, Any] = before.get("measured", {})
    measured = {name: earlier.get(name, before.get("machine")) for name in then}
    merged = {name: (then | now)[name] for name in (BASE, *COMPARED) if name in then | now}
    if part == "table":
        return {**figures, "methods": merged, "measured": measured}
    return {**merged, "measured": measured}


def _by_method(part: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    by_method = figures.get("methods", {}) if part == "table" else figures
    return {name: one for name, one in by_method.items() if name in (BASE, *COMPARED)}
