"""The plots of sets: goal F10 against the number of concepts, and goal F9 against the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

PANELS = {"forgotten": "UA", "kept, same kind": "kept, same kind", "valid": "valid"}
"""The panels' titles and the rates that they show."""
COSTS = {"seconds to make": "seconds", "bytes": "bytes"}
"""The titles of the panels with a logarithmic scale, and what they show."""
FLOOR = 95
"""Least share of other captions, in %, that sets of up to four leave to the base (goal F9)."""


def save_plot(found: Mapping[str, Any], folder: Path) -> Path:
    """Write `<folder>/forgetting-many.png`, a line for each method with its 95 % intervals.

    Args:
        found: the figures of `many`, by number of concepts.
        folder: where the plot goes.
    """
    plots: Any = pyplot  # its annotations leave most arguments open
    figure, panels = plots.subplots(1, len(PANELS) + len(COSTS), figsize=(15, 3.4))
    methods = list(dict.fromkeys(name for one in found.values() for name in one["methods"]))
    counts = list(found)
    for axes, (title, key) in zip(panels, PANELS.items(), strict=False):
        for method in methods:
            lines = [found[count]["methods"][method][key] for count in counts]
            _with_bars(axes, counts, lines, method)
        _titled(axes, title, "concepts")
        axes.set_ylim(0, 104)
    for axes, (title, key) in zip(panels[len(PANELS) :], COSTS.items(), strict=True):
        for method in methods:
            values = [found[count]["methods"][method][key] for count in counts]
            axes.plot(counts, values, marker="o", label=method)
        axes.set_yscale("symlog", linthresh=0.1)
        _titled(axes, title, "concepts")
    panels[0].set_ylabel("% of pictures")
    panels[0].legend(fontsize=7)
    return _saved(figure, folder / "forgetting-many.png")


def save_curves(found: Mapping[str, Any], folder: Path) -> Path:
    """Write `<folder>/forgetting-composition.png`: what is the base's to the bit, over θ.

    Args:
        found: the figures of `composed`, by number of members.
        folder: where the plot goes.
    """
    plots: Any = pyplot
    figure, axes = plots.subplots(figsize=(5.5, 3.6))
    for count, one in found.items():
        curve = one["identity by θ"]
        _with_bars(axes, list(curve), list(curve.values()), f"{count} members")
    axes.axhline(FLOOR, color="grey", linestyle=":", linewidth=1)
    _titled(axes, "others left to the base, to the bit", "multiple of each member's θ")
    axes.set_ylabel("% of captions")
    axes.legend(fontsize=7)
    return _saved(figure, folder / "forgetting-composition.png")


def _with_bars(axes: Any, at: Sequence[str], figures: Sequence[Any], label: str) -> None:
    """Draw rates in percent, with their intervals."""
    rates = [100 * one["rate"] for one in figures]
    bars = [
        [100 * (one["rate"] - one["interval"][0]) for one in figures],
        [100 * (one["interval"][1] - one["rate"]) for one in figures],
    ]
    axes.errorbar(at, rates, yerr=bars, marker="o", capsize=3, label=label)


def _titled(axes: Any, title: str, below: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(below)


def _saved(figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plots: Any = pyplot
    plots.close(figure)
    return path
