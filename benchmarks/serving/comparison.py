"""Load on Palimpsest and on the baseline servers: goals S3 and S4, and the throughput's knee."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.harness import WEIGHTS
from benchmarks.results import ratio
from benchmarks.serving.baseline_servers import Strategy
from benchmarks.serving.encoders import publish, save_whole
from benchmarks.serving.load import Answer, burst, drive, latency, poisson, throughput
from benchmarks.serving.scenario import (
    CONCURRENT,
    Scenario,
    ScenarioSizes,
    body,
    prepare_store,
    read_metrics,
    sync_url,
)
from benchmarks.serving.servers import baseline, ours
from video import load_backbone

BASELINES: tuple[Strategy, ...] = ("reload", "kept", "scoped")


def compare(scenario: Scenario) -> dict[str, Any]:
    """Measure S3 and S4, with Palimpsest and the baseline servers in turn.

    Each round sends sixteen requests at once, each for another encoder; then short requests while
    long ones run.
    """
    data = prepare_store(scenario, scenario.sizes.encoders)
    whole = scenario.work / "whole"
    if not whole.exists():
        backbone = load_backbone(WEIGHTS)
        store = publish(backbone.text_encoder, data / "encoders", CONCURRENT)
        save_whole(backbone, store, whole, CONCURRENT)
    starts: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(data, scenario.threads, videos_in_flight=CONCURRENT * 2),
        **{
            strategy: lambda strategy=strategy: baseline(
                strategy, whole, scenario.threads, scenario.work / f"{strategy}.log"
            )
            for strategy in BASELINES
        },
    }
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in starts}
    for turn in range(scenario.sizes.repeats):
        for name, start in starts.items():
            with start() as url:
                address = sync_url(url) if name == "ours" else f"{url}/videos"
                drive(address, burst([body(i, i, steps=1) for i in range(2)]))
                rounds[name].append(_round(name, url, address, turn, scenario.sizes))
    rates = {name: [one["throughput"] for one in each] for name, each in rounds.items()}
    p95 = {name: [one["short, p95"] for one in each] for name, each in rounds.items()}
    serial = max(("reload", "kept"), key=lambda name: np.mean(rates[name]))
    return {
        "rounds": rounds,
        "throughput": {name: ratio(each) for name, each in rates.items()},
        "short requests among long ones, p95": {name: ratio(each) for name, each in p95.items()},
        "the best serial server": serial,
        "S3: throughput ÷ the best serial server's": ratio(rates["ours"], rates[serial]),
        "S3: short requests' p95 ÷ its": ratio(p95["ours"], p95[serial]),
        "S3: throughput ÷ the threads'": ratio(rates["ours"], rates["scoped"]),
        "S4: denoiser's share": ratio([one["denoiser's share"] for one in rounds["ours"]]),
    }


def _round(name: str, url: str, address: str, turn: int, sizes: ScenarioSizes) -> dict[str, Any]:
    before = read_metrics(url) if name == "ours" else {}
    seed = 10_000 + 1000 * turn
    together = drive(address, burst([body(i, seed + i) for i in range(CONCURRENT)]))
    found: dict[str, Any] = {"throughput": throughput(together), "latency": latency(together)}
    if name == "ours":
        after, wall = read_metrics(url), max(one.ended for one in together)
        found["denoiser's share"] = round(_rise(before, after, "denoise_seconds_total") / wall, 4)
        found["batches"] = batches(before, after)
        found["memory, MiB"] = round(after["process_resident_memory_bytes"] / 2**20)
    long = burst([body(i, seed + 100 + i) for i in range(CONCURRENT - 4)], "long")
    brief = [body(i % CONCURRENT, seed + 200 + i, steps=2, frames=4) for i in range(sizes.short)]
    mixed = drive(address, [*long, *poisson(brief, 0.5, turn, "short")])
    short = [one for one in mixed if one.arrival.sort == "short"]
    return {**found, "short": latency(short), "short, p95": latency(short)["p95"]}


def knee(scenario: Scenario) -> dict[str, Any]:
    """Measure throughput and latency by the number of concurrent requests."""
    data = prepare_store(scenario, scenario.sizes.encoders)
    found: dict[str, Any] = {}
    with ours(data, scenario.threads, videos_in_flight=64) as url:
        drive(sync_url(url), burst([body(i, i, steps=1) for i in range(2)]))
        for count in (1, 2, 4, 8, 16, 32):
            bodies = [
                body(i % CONCURRENT, 20_000 + 100 * count + i, steps=4)
                for i in range(max(count, 4))
            ]
            seen: list[Answer] = []
            began = perf_counter()
            for start in range(0, len(bodies), count):
                seen += drive(sync_url(url), burst(bodies[start : start + count]))
            rate = round(len(bodies) / (perf_counter() - began), 4)
            found[str(count)] = {"throughput": rate, **latency(seen)}
    most = max(one["throughput"] for one in found.values())
    at = next(count for count, one in found.items() if one["throughput"] >= 0.95 * most)
    return {"concurrent": found, "knee": int(at)}


def _rise(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float:
    return after[f"palimpsest_{name}"] - before[f"palimpsest_{name}"]


def batches(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, int]:
    """Return the number of denoising steps by batch size, from the histogram's cumulated counts."""
    pattern = re.compile(r'palimpsest_batch_size_bucket\{le="([\d.]+)"\}')
    edges = sorted((float(m[1]), name) for name in after if (m := pattern.fullmatch(name)))
    cumulated = [0.0, *(after[name] - before[name] for _, name in edges)]
    counts = [int(high - low) for low, high in pairwise(cumulated)]
    return {f"{edge:g}": count for (edge, _), count in zip(edges, counts, strict=True) if count}
