"""The whole comparison: `make bench-forgetting`; `QUICK=1` for a coarse table.

Everything made and seen stays in the work folder, so that a stopped run goes on where it was, and
several processes may share the work: `--only pogo,mira --parts table`. What concerns all concepts
and methods is written to a file a part, with the machine that it was made on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.forgetting import parts, tables
from benchmarks.forgetting.cases import CONCEPTS, KIND_OF
from benchmarks.forgetting.experiment import Experiment
from benchmarks.forgetting.methods import OURS
from benchmarks.forgetting.pictures import save_picture
from benchmarks.results import RESULTS, write


def main(
    work: Annotated[Path, typer.Option(help="Where everything made is kept.")] = Path(
        ".work/bench-forgetting"
    ),
    only: Annotated[str, typer.Option(help="Make what these concepts need, no results.")] = "",
    chosen: Annotated[str, typer.Option("--parts", help="Make these parts; none: all.")] = "",
    methods: Annotated[str, typer.Option(help="Make these methods' rows, no results.")] = "",
    threads: Annotated[int, typer.Option(help="Threads of the CPU to use.")] = 2,
    device: Annotated[str, typer.Option(help="Where the models run.")] = "cpu",
) -> None:
    """Compare the methods and write `benchmarks/results/forgetting-….json`, a file a part, and the
    pictures.
    """
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
    )
    names = chosen.split(",") if chosen else ["table"] if quick else list(parts.PARTS)
    found: dict[str, Any] = {name: parts.PARTS[name](experiment, selection) for name in names}
    if only or methods:
        return
    tables.show_all(found)
    if quick:
        return
    for part, figures in found.items():
        write(f"forgetting-{part}", figures)
    if "table" in found:
        for concept in KIND_OF:
            save_picture(experiment, OURS, concept, RESULTS / "forgetting")


if __name__ == "__main__":
    typer.run(main)
