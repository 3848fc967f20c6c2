"""Command of `make bench-marking`: goals H11 and S12 on clips of the built-in model.

Each part writes a results file of its own. A run that was stopped goes on where it was. With
`QUICK=1` the sizes are small and no results are written: a check that the benchmark runs.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.marking.parts import COARSE, PARTS, MarkingSizes
from benchmarks.marking.residual_picture import save_residual
from benchmarks.results import RESULTS, mean_text, rate_text, show, write


def main(
    work: Annotated[Path, typer.Option(help="Where what is measured already is kept.")] = Path(
        ".work/bench-marking"
    ),
    chosen: Annotated[str, typer.Option("--parts", help="Measure these; none: all.")] = "",
) -> None:
    """Measure, print, and write `benchmarks/results/marking-….json` and the residual's picture."""
    quick = bool(os.environ.get("QUICK"))
    sizes = COARSE if quick else MarkingSizes()
    goals: list[list[str]] = []
    for name in chosen.split(",") if chosen else PARTS:
        found = PARTS[name](work.resolve() / ("quick" if quick else "full"), sizes)
        lines = _lines(found)
        show(name, ("", ""), lines)
        goals += [line for line in lines if re.search(r"\b[HS]\d+:", line[0])]
        if not quick:
            write(f"marking-{name}", found)
    show("Goals", ("", ""), goals)
    if not quick:
        save_residual(RESULTS / "marking-residual.png")


def _lines(found: dict[str, Any], path: str = "") -> list[list[str]]:
    """Return a line for each figure, with its path of names."""
    lines: list[list[str]] = []
    for key, value in found.items():
        name = f"{path} / {key}" if path else key
        if not isinstance(value, dict):
            lines.append([name, str(value)])
        elif "rate" in value:
            lines.append([name, rate_text(value)])
        elif {"mean", "interval"} <= set(value):
            lines.append([name, mean_text(value)])
        else:
            lines += _lines(value, name)
    return lines


if __name__ == "__main__":
    typer.run(main)
