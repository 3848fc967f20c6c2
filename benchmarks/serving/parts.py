"""What is measured of serving, a part a goal or two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.serving.against import against, knee
from benchmarks.serving.making import making
from benchmarks.serving.scenario import Place
from benchmarks.serving.start import start
from benchmarks.serving.swaps import memory, overhead, resident

PARTS: Mapping[str, Callable[[Place], dict[str, Any]]] = {
    "start": start,
    "overhead": overhead,
    "resident": resident,
    "against": against,
    "knee": knee,
    "making": making,
    "memory": memory,
}
