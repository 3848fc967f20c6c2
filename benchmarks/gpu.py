"""Everything that is measured on a GPU, in at most eight minutes: `make bench-gpu`.

Each part runs in a process of its own, prints as it goes, and is stopped after its time. A part
that fails or is stopped leaves the others to run. Parts write `benchmarks/results/gpu-….json`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import torch
import typer

from benchmarks.results import show, write
from benchmarks.serving.comparison import compare
from benchmarks.serving.composing import COUNTS, seconds
from benchmarks.serving.scenario import CONCURRENT, Scenario, ScenarioSizes
from benchmarks.true_sizes import main as true_sizes
from benchmarks.true_sizes import stable_diffusion

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".work" / "bench-gpu"
PROMPTS, CLIPS = 20, 2
"""Requests of the part `composing`."""


@dataclass(frozen=True)
class Part:
    """A part of the measurements, run by a command."""

    name: str
    limit_s: float
    """Seconds after which it is stopped."""
    command: Sequence[str]


def _measures(name: str, limit_s: float) -> Part:
    return Part(name, limit_s, (sys.executable, "-m", "benchmarks.gpu", "--part", name))


PARTS = (
    Part("families", 130, (sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests")),
    _measures("true-sizes", 150),  # S5's seconds
    _measures("composing", 60),  # S10
    _measures("against", 130),  # S3, S4
)


def composing() -> None:
    """Measure S10 at the sizes of Stable Diffusion 1.5 and AnimateDiff."""
    write("gpu-composing", seconds(stable_diffusion("cuda"), COUNTS, PROMPTS, CLIPS))


def against() -> None:
    """Measure S3 and S4 with the built-in model, in one round."""
    sizes = ScenarioSizes(encoders=CONCURRENT, repeats=1)
    WORK.mkdir(parents=True, exist_ok=True)
    write("gpu-against", compare(Scenario(WORK, torch.get_num_threads(), sizes)))


MEASURES: Mapping[str, Callable[[], None]] = {
    "true-sizes": true_sizes,
    "composing": composing,
    "against": against,
}


def main(
    part: Annotated[str, typer.Option(help="Run this part here; none: all, one by one.")] = "",
) -> None:
    """Measure and print; write `benchmarks/results/true-sizes.json` and `gpu-….json`."""
    if not torch.cuda.is_available():
        raise SystemExit("No GPU: torch sees none here, and nothing is measured.")
    if part:
        MEASURES[part]()
    elif not run(PARTS):
        raise SystemExit(1)


def run(parts: Sequence[Part]) -> bool:
    """Run the parts one after the other, and return True if all of them succeeded."""
    ends: list[tuple[Part, str, float]] = []
    for part in parts:
        print(f"{part.name}: at most {part.limit_s:g} s", flush=True)
        began = perf_counter()
        ends.append((part, _end(part), perf_counter() - began))
    rows = [[part.name, end, f"{taken:.0f}"] for part, end, taken in ends]
    show("Parts", ("", "end", "seconds"), rows)
    return all(end == "done" for _, end, _ in ends)


def _end(part: Part) -> str:
    """Run a part, and return how it ended."""
    process = subprocess.Popen(part.command, cwd=ROOT, start_new_session=True)
    try:
        code = process.wait(part.limit_s)
    except subprocess.TimeoutExpired:
        return "stopped: it took too long"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return "done" if code == 0 else f"failed: exit status {code}"


if __name__ == "__main__":
    typer.run(main)
