"""Serving while encoders are made: goal S7."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from time import sleep, time_ns
from typing import Any

import httpx
import numpy as np

from benchmarks.results import ratio
from benchmarks.serving.load import burst, drive, poisson
from benchmarks.serving.scenario import Scenario, body, prepare_store, read_metrics, sync_url
from benchmarks.serving.servers import ours

MADE = 'palimpsest_jobs_ended_total{kind="encoder",reason="",status="published"}'


def making(scenario: Scenario) -> dict[str, Any]:
    """Measure S7: the same requests while no encoder is made, and while encoders are made.

    Encoders are made one after the other, each with images, optimisation and judging.
    """
    data = prepare_store(scenario, scenario.sizes.encoders)
    with ours(data, scenario.threads) as url:
        drive(sync_url(url), burst([body(i, i, steps=1) for i in range(2)]))
        bodies = [body(i, 30_000 + i, steps=4, frames=8) for i in range(scenario.sizes.playing)]
        alone = [drive(sync_url(url), burst([one]))[0].seconds for one in bodies[:4]]
        rate = 0.5 / float(np.median(alone))
        arrivals = poisson(bodies, rate, seed=7)
        without = [one.seconds for one in drive(sync_url(url), arrivals)]
        with _makers(url) as seen:
            during = [one.seconds for one in drive(sync_url(url), arrivals)]
        metrics = read_metrics(url)
    p95 = {
        name: round(float(np.percentile(each, 95)), 4)
        for name, each in (("without", without), ("with", during))
    }
    return {
        "alone": ratio(alone),
        "requests a second": round(rate, 3),
        "p95": p95,
        "seconds in each phase of making": dict(seen),
        "encoders made meanwhile": metrics.get(MADE, 0),
        "S7: p95 with ÷ without": _quantile_ratio(during, without),
        "mean with ÷ without": ratio(during, without),
    }


@contextmanager
def _makers(url: str) -> Generator[Counter[str]]:
    """Make encoders, one after the other, for as long as the block lasts.

    Yields:
        The seconds spent in each phase so far, counted by polling once a second.
    """
    seen, over = Counter[str](), Event()

    def make() -> None:
        while not over.is_set():
            asked: dict[str, Any] = {
                "id": f"made-{time_ns()}",
                "concept": "pogo",
                "kind": "character",
                "gate": {"tier": "quick"},
            }
            state = httpx.post(f"{url}/v1/encoders", json=asked).raise_for_status().json()
            while state["status"] in ("queued", "in_progress") and not over.wait(1):
                state = httpx.get(f"{url}/v1/encoders/{asked['id']}").json()
                seen[state["phase"]] += 1
            httpx.delete(f"{url}/v1/encoders/{asked['id']}").raise_for_status()

    thread = Thread(target=make)
    thread.start()
    while not seen.total():
        sleep(0.1)
    yield seen
    over.set()
    thread.join()


def _quantile_ratio(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """Return the ratio of two 95th percentiles, with a bootstrap interval over the pairs."""
    pairs = np.array([values, others])
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    high = np.percentile(pairs[:, draws], 95, axis=2)
    low, up = np.percentile(high[0] / high[1], [2.5, 97.5])
    now = np.percentile(pairs, 95, axis=1)
    return {
        "mean": round(float(now[0] / now[1]), 4),
        "interval": [round(float(low), 4), round(float(up), 4)],
        "n": len(values),
    }
