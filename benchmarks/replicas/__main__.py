"""Command of `make bench-replicas`: goals S11 and H7, on one PostgreSQL and one S3 server.

With `QUICK=1` the sizes are small and no results are written: a check that the benchmark runs.
Nothing else should run on the machine.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.replicas.kills import kills
from benchmarks.replicas.plot import plot
from benchmarks.replicas.throughput import throughput
from benchmarks.results import RESULTS, show, write

_QUICK = bool(os.environ.get("QUICK"))
_PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "throughput": lambda work: (
        throughput(work, (1, 2), 5, 0.1) if _QUICK else throughput(work, (1, 2, 4, 8), 40, 0.25)
    ),
    "kills": lambda work: kills(work, 3, 5) if _QUICK else kills(work, 50, 20),
}


def main(
    work: Annotated[Path, typer.Option(help="Where data and logs are kept; emptied first.")] = Path(
        ".work/bench-replicas"
    ),
    chosen: Annotated[str, typer.Option("--parts", help="Measure these; none: all.")] = "",
) -> None:
    """Measure and kill replicas, and write `benchmarks/results/replicas-….json`."""
    met: dict[str, bool] = {}
    for name in chosen.split(",") if chosen else _PARTS:
        folder = work.resolve() / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        found = _PARTS[name](folder)
        show(name, ("", ""), [[key, str(value)[:600]] for key, value in found.items()])
        if not _QUICK:
            write(f"replicas-{name}", found)
            if name == "throughput":
                plot(found, RESULTS / "replicas-throughput.png")
        met |= {key: value for key, value in found.items() if re.match(r"[HS]\d", key)}
    show("Goals", ("", ""), [[key, "met" if is_met else "not met"] for key, is_met in met.items()])
    if not all(met.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
