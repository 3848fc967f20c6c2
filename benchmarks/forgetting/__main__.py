"""The whole comparison: `make bench-forgetting`; `QUICK=1` for a coarse table.

Everything made and seen stays in the work folder, so that a stopped run goes on where it was, and
several processes may share the work by concepts: `--only pogo,mira`. The table is of what is on
file for all concepts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.forgetting import figures
from benchmarks.forgetting.bench import Bench, Sizes
from benchmarks.forgetting.cases import CONCEPTS, KIND_OF
from benchmarks.forgetting.methods import FOUR, METHODS, OURS
from benchmarks.forgetting.outcomes import features
from benchmarks.forgetting.pictures import save_picture
from benchmarks.forgetting.row import Row, row, transfer
from benchmarks.results import RESULTS, percent, show, write
from encoders import Kind
from starter.scene import sample_scene

# Clips are dear: they go where a rate above 97 % has to be told from one below. A baseline that
# leaves one clip in ten standing is found out by fewer.
FULL = Sizes(
    target_clips=50,
    base_clips=20,
    target_stills=50,
    apart_clips=10,
    wording=24,
    kept=50,
    kept_motions=24,
    neighbours=30,
    neighbouring_motions=10,
    kept_clips=4,
    decide=False,
)
BASELINE = Sizes(
    target_clips=8,
    base_clips=8,
    target_stills=24,
    apart_clips=0,
    wording=12,
    kept=24,
    kept_motions=8,
    neighbours=12,
    neighbouring_motions=4,
    kept_clips=0,
    decide=True,
)
COARSE = Sizes(
    target_clips=2,
    base_clips=2,
    target_stills=4,
    apart_clips=0,
    wording=4,
    kept=7,
    kept_motions=2,
    neighbours=2,
    neighbouring_motions=1,
    kept_clips=0,
    decide=False,
)
RENDERS = 3000
COLUMNS = (
    "",
    "UA",
    "wordings",
    "lost: same kind",
    "neighbours",
    "other kinds",
    "valid",
    "Fréchet",
    "seconds",
)


def main(
    work: Annotated[Path, typer.Option(help="Where everything made is kept.")] = Path(
        ".work/bench-forgetting"
    ),
    methods: Annotated[str, typer.Option(help="Which methods, by comma; all if empty.")] = "",
    only: Annotated[str, typer.Option(help="Make what these concepts need, no table.")] = "",
    threads: Annotated[int, typer.Option(help="Threads of the CPU to use.")] = 2,
) -> None:
    """Compare the methods and write `benchmarks/results/forgetting.json` and its pictures."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    quick = bool(os.environ.get("QUICK"))
    bench = Bench(work)
    chosen = methods.split(",") if methods else [name for name in METHODS if name != FOUR]
    wanted = only.split(",") if only else list(KIND_OF)
    concepts: dict[Kind, tuple[str, ...]] = {
        kind: tuple(name for name in names[: 1 if quick else None] if name in wanted)
        for kind, names in CONCEPTS.items()
    }
    rows: dict[str, dict[str, Row]] = {}
    for kind, names in concepts.items():
        for method in chosen:
            if names:
                sizes = COARSE if quick else FULL if method == OURS else BASELINE
                rows.setdefault(method, {})[kind] = row(bench, method, names, sizes)
                print(f"{method}, {kind}: UA {percent(rows[method][kind]['UA'])}", flush=True)
    if only:
        return
    report(bench, rows, concepts, quick=quick)


def report(
    bench: Bench,
    rows: dict[str, dict[str, Row]],
    concepts: dict[Kind, tuple[str, ...]],
    *,
    quick: bool,
) -> None:
    """Print the table; unless it is a coarse one, write the results and the pictures."""
    frechet = Frechet(bench)
    for method, of_kind in rows.items():
        for found in of_kind.values():
            found["Fréchet"] = frechet.of(found.pop("features"))
        lines = [[f"{method}, {kind}", *_cells(found)] for kind, found in of_kind.items()]
        show(method, COLUMNS, lines)
    print(f"Fréchet distance between renders (the floor): {frechet.floor(500)}")
    if quick:
        return
    everything: dict[str, Any] = {"floor": frechet.floor(500), "methods": rows}
    if OURS in rows:
        everything["transfer"] = {
            kind: transfer(bench, OURS, names, FULL)
            for kind, names in concepts.items()
            if kind != "motion"
        }
        for names in concepts.values():
            for concept in names:
                save_picture(bench, OURS, concept, RESULTS / "forgetting")
    write("forgetting", everything)


class Frechet:
    """Distances to renders of random scenes, made once."""

    def __init__(self, bench: Bench) -> None:
        rng = np.random.default_rng(2_027)
        frames = [sample_scene(rng).frame(float(rng.random())) for _ in range(RENDERS)]
        found = [
            f
            for i in range(0, RENDERS, 100)
            for f in features(bench.judge, np.stack(frames[i : i + 100]))
        ]
        self._frechet = figures.Frechet(np.array(found))

    def of(self, found: Any) -> float | None:
        """Of pictures' features (N,256)."""
        return self._frechet.distance(found) if len(found) > 1 else None

    def floor(self, count: int) -> float:
        """Of so many renders."""
        return self._frechet.floor(count)


def _cells(found: Row) -> list[str]:
    return [
        percent(found["UA"]),
        percent(found["UA, wordings"]),
        *(_points(found[f"lost, {group}"]) for group in ("same kind", "neighbours", "other kinds")),
        f"{100 * (found['valid']['rate'] - found['valid, base']['rate']):+.1f}",
        str(found["Fréchet"]),
        str(found.get("seconds", "")),
    ]


def _points(figure: dict[str, Any]) -> str:
    """A drop for people, in points: `0.7 (−1.2 to 3.1)`."""
    low, high = figure["interval"]
    return f"{100 * figure['mean']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    typer.run(main)
