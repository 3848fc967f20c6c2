"""Start-up time: goal S8."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from benchmarks.results import ratio
from benchmarks.serving.scenario import Scenario, prepare_store
from benchmarks.serving.servers import ours, wait


def start(scenario: Scenario) -> dict[str, Any]:
    """Measure S8: seconds from the command to the first 200 of `/livez`, and of `/readyz`."""
    data = prepare_store(scenario, 1)
    live: list[float] = []
    ready: list[float] = []
    for _ in range(scenario.sizes.starts):
        began = perf_counter()
        with ours(data, scenario.threads, answers="livez") as url:
            live.append(perf_counter() - began)
            wait(f"{url}/readyz")
            ready.append(perf_counter() - began)
    return {"S8: live": ratio(live), "S8: ready": ratio(ready)}
