"""Command of `make bench-serving`: goals S1 to S4, S6 to S10 on the built-in model.

Each part writes a results file of its own. With `QUICK=1` the sizes are small and no results are
written: a check that the benchmark runs. Nothing else should run on the machine.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.results import mean_text, show, write
from benchmarks.serving.parts import PARTS
from benchmarks.serving.plots import save_plots
from benchmarks.serving.scenario import Scenario, ScenarioSizes

COARSE = ScenarioSizes(encoders=20, pairs=3, repeats=1, short=2, playing=4, starts=1, swaps=200)


def main(
    work: Annotated[Path, typer.Option(help="Where encoders and logs are kept.")] = Path(
        ".work/bench-serving"
    ),
    chosen: Annotated[str, typer.Option("--parts", help="Measure these; none: all.")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads of every server.")] = 2,
) -> None:
    """Measure, print, and write `benchmarks/results/serving-….json` and its plots."""
    quick = bool(os.environ.get("QUICK"))
    scenario = Scenario(work.resolve(), threads, COARSE if quick else ScenarioSizes())
    found: dict[str, dict[str, Any]] = {}
    for name in chosen.split(",") if chosen else PARTS:
        found[name] = PARTS[name](scenario)
        show(name, ("", ""), [[key, _cell(value)] for key, value in found[name].items()])
        if not quick:
            write(f"serving-{name}", found[name])
    goals = [
        [key, _cell(value)]
        for one in found.values()
        for key, value in one.items()
        if re.match(r"S\d", key)
    ]
    show("Goals", ("", "measured"), goals)
    if not quick:
        save_plots(found)


def _cell(value: Any) -> str:
    if isinstance(value, dict) and {"mean", "interval"} <= set(value):
        return mean_text(value)
    return str(value)[:600]


if __name__ == "__main__":
    typer.run(main)
