"""The parts of the serving benchmark, each for one or two goals, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.serving.comparison import compare, knee
from benchmarks.serving.composing import composing
from benchmarks.serving.making import making
from benchmarks.serving.scenario import Scenario
from benchmarks.serving.start import start
from benchmarks.serving.swaps import memory, overhead, resident

PARTS: Mapping[str, Callable[[Scenario], dict[str, Any]]] = {
    "start": start,
    "overhead": overhead,
    "resident": resident,
    "against": compare,
    "knee": knee,
    "composing": composing,
    "making": making,
    "memory": memory,
}
