"""Command of `make bench-forgetting`: the whole comparison; with `QUICK=1` some parts in small.

Encoders and outcomes stay in the work folder. A run that was stopped continues from there, and
several processes can share the work: `--only pogo,mira --parts table` makes what these concepts
need. A run over all concepts and methods writes one results file for each part. A run over all
concepts and some methods (`--methods redirect --parts table`) writes the results of the parts that
compare methods, and keeps the other methods' figures that are on record.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.forgetting import on_record, parts, tables
from benchmarks.forgetting.cases import CONCEPTS, KIND_OF
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.methods import OURS
from benchmarks.forgetting.pictures import save_picture
from benchmarks.forgetting.set_plots import save_curves, save_plot
from benchmarks.results import RESULTS, write


def main(
    work: Annotated[Path, typer.Option(help="Where everything made is kept.")] = Path(
        ".work/bench-forgetting"
    ),
    only: Annotated[str, typer.Option(help="Make what these concepts need, no results.")] = "",
    chosen: Annotated[str, typer.Option("--parts", help="Make these parts; none: all.")] = "",
    methods: Annotated[str, typer.Option(help="Measure these methods; others as on record.")] = "",
    threads: Annotated[int, typer.Option(help="Threads of the CPU to use.")] = 2,
    device: Annotated[str, typer.Option(help="Where the models run.")] = "cpu",
) -> None:
    """Compare the methods; write `benchmarks/results/forgetting-….json` and the pictures."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    quick = bool(os.environ.get("QUICK"))
    experiment = Experiment(work, device)
    selection = parts.Selection(
        concepts={
            kind: tuple(
                n
                for n in names[: 1 if quick else None]
                if n in (only.split(",") if only else KIND_OF)
            )
            for kind, names in CONCEPTS.items()
        },
        methods=tuple(methods.split(",")) if methods else (),
        quick=quick,
        only=tuple(only.split(",")) if only else (),
    )
    names = chosen.split(",") if chosen else list(parts.COARSE_PARTS if quick else parts.PARTS)
    found: dict[str, Any] = {name: parts.PARTS[name](experiment, selection) for name in names}
    if only:
        return
    if methods:
        found = {
            name: on_record.with_recorded(name, figures, on_record.recorded(name))
            for name, figures in found.items()
            if name in on_record.WITH_METHODS
        }
    tables.show_all(found)
    if quick:
        return
    for part, figures in found.items():
        write(f"forgetting-{part}", figures)
    if "composition" in found:
        save_curves(found["composition"], RESULTS)
    if "many" in found:
        save_plot(found["many"], RESULTS)
        parts.save_many_sheet(experiment, RESULTS)
    if "table" in found:
        for concept in KIND_OF:
            save_picture(experiment, OURS, concept, RESULTS / "forgetting")


if __name__ == "__main__":
    typer.run(main)
