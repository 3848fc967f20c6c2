"""The parts of the marking benchmark, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.marking.averaging import averaging
from benchmarks.marking.marked import marked
from benchmarks.marking.signing import signing
from benchmarks.marking.unmarked import unmarked


@dataclass(frozen=True)
class MarkingSizes:
    """Numbers of clips of a run."""

    marked: int = 200
    unmarked: int = 10_000
    averaged: int = 2000
    signed: int = 40


COARSE = MarkingSizes(marked=6, unmarked=60, averaged=100, signed=4)


def watermark(work: Path, sizes: MarkingSizes) -> dict[str, Any]:
    """Measure the watermark: marked clips, unmarked clips, and averages of many."""
    return {
        "marked": marked(work, sizes.marked),
        "unmarked": unmarked(work, sizes.unmarked),
        "averaging": averaging(work, sizes.averaged),
    }


def signatures(work: Path, sizes: MarkingSizes) -> dict[str, Any]:
    """Measure the signatures; they are quick to make, so nothing is kept."""
    return signing(sizes.signed)


PARTS: Mapping[str, Callable[[Path, MarkingSizes], dict[str, Any]]] = {
    "signatures": signatures,
    "watermark": watermark,
}
