"""The picture: every panel of the dashboard as one PNG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from benchmarks.dashboard.panels import DrawnPanel
from benchmarks.dashboard.prometheus import SCRAPE_S, Series

Drawn = tuple[DrawnPanel, list[tuple[str, Series]]]
"""A panel, and its series by their legends."""

_ACROSS, _MOST_IN_LEGEND, _COLOURS = 3, 8, 64
_SUFFIX = {"s": " s", "ops": "/s", "reqps": "/s"}


def draw(panels: Sequence[Drawn], file: Path, begin: float) -> None:
    """Draw the panels, row by row, as the dashboard has them.

    Args:
        panels: What is drawn. One without series says so.
        file: The PNG.
        begin: Unix seconds that are the time 0.
    """
    matplotlib.use("Agg")
    rows = [list(each) for _, each in groupby(panels, lambda one: one[0].row)]
    lines = [each[at : at + _ACROSS] for each in rows for at in range(0, len(each), _ACROSS)]
    figure = Figure(figsize=(13, 2.1 * len(lines)))
    grid = figure.add_gridspec(len(lines), _ACROSS, left=0.05, right=0.99, wspace=0.2, hspace=0.45)
    grid.update(top=1 - 0.4 / len(lines), bottom=0.2 / len(lines))
    row = ""
    for number, line in enumerate(lines):
        for column, one in enumerate(line):
            axes = figure.add_subplot(grid[number, column])
            _draw_panel(axes, one, begin)
            if one[0].row != row:
                row = one[0].row
                axes.text(0, 1.16, row, transform=axes.transAxes, fontsize=9, fontweight="bold")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=72, format="png")
    # Lines and letters need few colours, and a repository keeps every version of a picture.
    with Image.open(picture) as whole:
        whole.convert("RGB").quantize(_COLOURS).save(file, optimize=True)


def _draw_panel(axes: Axes, panel: Drawn, begin: float) -> None:
    drawn, series = panel
    axes.set_title(textwrap.shorten(drawn.title, 58, placeholder="…"), fontsize=7, loc="left")
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, drawn.unit)))
    if not series:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color="tab:red")
        return
    for number, (legend, one) in enumerate(series):
        name = legend if number < _MOST_IN_LEGEND else None
        # Where Prometheus has no point, there is no line.
        gaps = np.flatnonzero(np.diff(one.times) > 1.5 * SCRAPE_S) + 1
        times, values = np.insert(one.times, gaps, np.nan), np.insert(one.values, gaps, np.nan)
        axes.plot(times - begin, values, linewidth=1, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=5, frameon=False, loc="upper left", ncols=2)


def shown(value: float, unit: str) -> str:
    """Return a value with Grafana's unit, in few letters."""
    if unit == "percentunit":
        return f"{100 * value:g} %"
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g} {prefix}" + ("B" if unit == "bytes" else "")
    return f"{value:.3g}" + _SUFFIX.get(unit, "")
