"""Two plots: throughput against concurrency, latency against the number of encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.results import RESULTS


def save_plots(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the plots whose parts were measured, and write them to `RESULTS`."""
    plots: Any = pyplot  # its annotations leave most arguments open
    if "knee" in found:
        concurrent = found["knee"]["concurrent"]
        rates = [one["throughput"] for one in concurrent.values()]
        _plot(
            plots,
            list(concurrent),
            {"requests a second": rates},
            "requests at a time",
            "throughput",
        )
    if "overhead" in found:
        by_count = found["overhead"]["by encoders in use"]
        lines = {name: [one[name] for one in by_count.values()] for name in ("p50", "p95")}
        _plot(plots, [str(count) for count in by_count], lines, "encoders in use", "latency")


def _plot(
    plots: Any, ticks: list[str], lines: Mapping[str, list[float]], across: str, name: str
) -> None:
    figure, axes = plots.subplots(figsize=(6, 3.5))
    for label, values in lines.items():
        axes.plot(ticks, values, marker="o", label=label)
    axes.set_xlabel(across)
    axes.set_ylabel("seconds" if name == "latency" else "requests a second")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / f"serving-{name}.png", dpi=120)
    plots.close(figure)
