"""Output of the benchmarks: intervals, tables on the screen, and files that name the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from unlearn.trial.intervals import wilson

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, threads, GPU, versions, commit and time."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _commit(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def rate(successes: int, count: int) -> dict[str, Any]:
    """Return a rate with its Wilson 95 % interval, as results files hold it."""
    low, high = wilson(successes, count)
    share = successes / count if count else 0.0
    return {"rate": round(share, 4), "interval": [round(low, 4), round(high, 4)], "n": count}


def rate_text(figure: dict[str, Any]) -> str:
    """Format a rate for the screen: `97.3 % (95.1 to 98.6, n = 300)`."""
    low, high = figure["interval"]
    return f"{100 * figure['rate']:.1f} % ({100 * low:.1f} to {100 * high:.1f}, n = {figure['n']})"


def points_text(figure: dict[str, Any]) -> str:
    """Format a drop for the screen, in percentage points: `0.7 (-1.2 to 3.1)`."""
    low, high = figure["interval"]
    return f"{100 * figure['mean']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def ratio(values: Sequence[float], others: Sequence[float] | None = None) -> dict[str, Any]:
    """Return the mean of the values, or mean(values) ÷ mean(others), with a 95 % interval.

    The interval is a percentile bootstrap over the values or pairs (Efron, 1979).

    Args:
        values: measurements.
        others: measurements paired with `values`, one by one; None: the plain mean.
    """
    pairs = np.array([values, others or [1.0] * len(values)], dtype=float)
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    means = pairs[:, draws].mean(axis=2)
    low, high = np.percentile(means[0] / means[1], [2.5, 97.5])
    return {
        "mean": round(float(pairs[0].mean() / pairs[1].mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "n": len(values),
    }


def mean_text(figure: dict[str, Any], scale: float = 1.0) -> str:
    """Format a mean or a ratio for the screen: `1.21 (1.05 to 1.40, n = 50)`."""
    low, high = figure["interval"]
    return (
        f"{scale * figure['mean']:.2f} ({scale * low:.2f} to {scale * high:.2f}, n = {figure['n']})"
    )


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write `benchmarks/results/<name>.json`, and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")
    print(f"written to {path}")
    return path


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    try:
        command = ["git", "describe", "--always", "--dirty"]
        done = subprocess.run(
            command, cwd=RESULTS.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
