"""From the command to an answer: S8."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from benchmarks.results import ratio
from benchmarks.serving.scenario import Place, store_of
from benchmarks.serving.servers import ours, wait


def start(place: Place) -> dict[str, Any]:
    """S8: seconds from the command to an answer at `/livez`, and to one at `/readyz`."""
    data = store_of(place, 1)
    live: list[float] = []
    ready: list[float] = []
    for _ in range(place.sizes.starts):
        began = perf_counter()
        with ours(data, place.threads, answers="livez") as url:
            live.append(perf_counter() - began)
            wait(f"{url}/readyz")
            ready.append(perf_counter() - began)
    return {"S8: live": ratio(live), "S8: ready": ratio(ready)}
