"""Plot of throughput against the number of replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure


def plot(found: dict[str, Any], file: Path) -> None:
    """Draw jobs a second by the number of replicas, beside the ideal line.

    Args:
        found: What `benchmarks.replicas.throughput` returned.
        file: The PNG.
    """
    matplotlib.use("Agg")
    rates = {
        int(name.split()[0]): measured["jobs a second"]
        for name, measured in found.items()
        if name.endswith(" replicas")
    }
    counts = sorted(rates)
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    ideal = [rates[counts[0]] / counts[0] * count for count in counts]
    axes.plot(counts, ideal, ":", color="0.6", label="the number × one replica")
    axes.plot(counts, [rates[count] for count in counts], "o-", label="measured")
    axes.set_xlabel("replicas")
    axes.set_ylabel("jobs a second")
    axes.set_xticks(counts)
    axes.legend(frameon=False)
    figure.savefig(file, dpi=120)
