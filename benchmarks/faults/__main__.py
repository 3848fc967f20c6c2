"""Command of `make bench-faults`: goals H1, H3 to H6 and H8 to H10 on the built-in model.

Each part writes a results file of its own. With `QUICK=1` the sizes are small and no results are
written: a check that the benchmark runs. Nothing else should run on the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.faults.parts import COARSE, PARTS, FaultSizes
from benchmarks.results import show, write


def main(
    work: Annotated[Path, typer.Option(help="Where data and logs are kept; emptied first.")] = Path(
        ".work/bench-faults"
    ),
    chosen: Annotated[str, typer.Option("--parts", help="Measure these; none: all.")] = "",
) -> None:
    """Break servers in every way, print what held, and write `benchmarks/results/faults-….json`."""
    quick = bool(os.environ.get("QUICK"))
    sizes = COARSE if quick else FaultSizes()
    goals: list[list[str]] = []
    for name in chosen.split(",") if chosen else PARTS:
        folder = work.resolve() / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            found = PARTS[name](folder, sizes)
        except Exception:  # the other parts are measured all the same
            traceback.print_exc()
            goals.append([name, "not met"])
            continue
        show(name, ("", ""), [[key, str(value)[:600]] for key, value in found.items()])
        if not quick:
            write(f"faults-{name}", found)
        goals += [[key, _verdict(value)] for key, value in found.items() if re.match(r"H\d", key)]
    show("Goals", ("", ""), goals)
    if any(verdict == "not met" for _, verdict in goals):
        raise typer.Exit(1)


def _verdict(value: Any) -> str:
    return "met" if value is True else "not met" if value is False else str(value)


if __name__ == "__main__":
    typer.run(main)
