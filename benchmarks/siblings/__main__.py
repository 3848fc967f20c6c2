"""Command of `make siblings`: make the siblings that do not exist yet.

A stopped run continues from its last checkpoint, at most two minutes earlier.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.siblings.architectures import SIBLINGS
from benchmarks.siblings.bilingual import BILINGUAL, make_bilingual
from benchmarks.siblings.making import WORK, make


def main(
    work: Annotated[Path, typer.Option(help="Where siblings and checkpoints are kept.")] = WORK,
    only: Annotated[str, typer.Option(help="Names of siblings, with commas; none: all.")] = "",
) -> None:
    """Distil the siblings one after the other, on one thread."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for name in only.split(",") if only else (*SIBLINGS, BILINGUAL.name):
        if name == BILINGUAL.name:
            make_bilingual(work)
        else:
            make(SIBLINGS[name], work / name)


if __name__ == "__main__":
    typer.run(main)
