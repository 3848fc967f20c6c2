"""The plot of goal F10: what is forgotten and kept, against the number of concepts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

PANELS = {"forgotten": "UA", "kept, same kind": "kept, same kind", "valid": "valid"}
"""The panels' titles and the rates that they show."""


def save_plot(found: Mapping[str, Any], folder: Path) -> Path:
    """Write `<folder>/forgetting-many.png`, a line for each method with its 95 % intervals.

    Args:
        found: the figures of `many`, by number of concepts.
        folder: where the plot goes.
    """
    plots: Any = pyplot  # its annotations leave most arguments open
    figure, panels = plots.subplots(1, len(PANELS), figsize=(9, 3.2), sharey=True)
    methods = list(dict.fromkeys(name for one in found.values() for name in one["methods"]))
    for axes, (title, key) in zip(panels, PANELS.items(), strict=True):
        for method in methods:
            lines = {n: one["methods"][method][key] for n, one in found.items()}
            rates = [100 * one["rate"] for one in lines.values()]
            bars = [
                [100 * (one["rate"] - one["interval"][0]) for one in lines.values()],
                [100 * (one["interval"][1] - one["rate"]) for one in lines.values()],
            ]
            axes.errorbar(list(lines), rates, yerr=bars, marker="o", capsize=3, label=method)
        axes.set_title(title)
        axes.set_xlabel("concepts")
    panels[0].set_ylabel("% of pictures")
    panels[0].legend()
    figure.tight_layout()
    path = folder / "forgetting-many.png"
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return path
