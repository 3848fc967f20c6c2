"""What is measured of serving, a part a goal or two."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from time import perf_counter, sleep, time_ns
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.results import ratio
from benchmarks.serving.encoders import name_of, publish, save_whole
from benchmarks.serving.load import Answer, Arrival, burst, drive, latency, poisson, throughput
from benchmarks.serving.place import (
    CONCURRENT,
    Place,
    Sizes,
    beside,
    body,
    prompt,
    read_metrics,
    store_of,
    sync,
)
from benchmarks.serving.rivals import Way
from benchmarks.serving.servers import ours, rival, wait
from benchmarks.workshop import WEIGHTS
from encoders import Residency
from video import Engine, GenerationRequest, load_backbone

RIVALS: tuple[Way, ...] = ("reload", "kept", "scoped")


def overhead(place: Place) -> dict[str, Any]:
    """S1 and S2: what it costs a request to name another encoder than the last did, resident or
    cold on disk, a new prompt every time; and the latency by how many encoders are in use."""
    data, pairs = store_of(place, place.sizes.encoders), place.sizes.pairs
    found: dict[str, Any] = {}
    with (
        ours(data, place.threads) as warm,
        ours(beside(data), place.threads, encoder_cache_bytes=1) as cold,
    ):
        tiny = [body(i, i, steps=1, frames=1) for i in range(place.sizes.encoders)]
        for start in range(0, len(tiny), CONCURRENT):  # all of them resident from now on
            drive(sync(warm), burst(tiny[start : start + CONCURRENT]))
        drive(sync(cold), burst([body(0, 0)]))
        metrics = read_metrics(warm)
        found["resident"] = {
            "encoders": metrics["palimpsest_resident_encoders"],
            "bytes": metrics["palimpsest_resident_bytes"],
        }
        each: dict[str, list[float]] = {"same": [], "another": [], "cold": []}
        for i in range(pairs):
            turns = {
                "same": (warm, body(0, 3 * i)),
                "another": (warm, body(1 + i, 3 * i + 1)),
                "cold": (cold, body(1 + i, 3 * i + 2)),
            }
            names = list(turns)
            for name in names[i % 3 :] + names[: i % 3]:
                url, asked = turns[name]
                [answer] = drive(sync(url), [Arrival(0.0, asked)])
                each[name].append(answer.seconds)
        assert read_metrics(cold)["palimpsest_resident_encoders"] == 0
        found["seconds"] = {name: ratio(seconds) for name, seconds in each.items()}
        found["S1: another resident encoder ÷ the same"] = ratio(each["another"], each["same"])
        found["S2: a cold encoder ÷ the same"] = ratio(each["cold"], each["same"])
        found["by encoders in use"] = {
            count: latency(
                [
                    one
                    for i in range(max(4, pairs // 4))
                    for one in drive(
                        sync(warm), [Arrival(0.0, body(i * 37 % count, 1000 + i, steps=4))]
                    )
                ]
            )
            for count in (1, 10, 100, 1000)
            if count <= place.sizes.encoders
        }
    return found


def against(place: Place) -> dict[str, Any]:
    """S3 and S4: sixteen requests at once over sixteen encoders, and short ones among long ones;
    ours and the others in turn."""
    data = store_of(place, place.sizes.encoders)
    whole = place.work / "whole"
    if not whole.exists():
        backbone = load_backbone(WEIGHTS)
        save_whole(backbone, publish(backbone, data / "encoders", CONCURRENT), whole, CONCURRENT)
    starts: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(data, place.threads, videos_in_flight=CONCURRENT * 2),
        **{
            way: lambda way=way: rival(way, whole, place.threads, place.work / f"{way}.log")
            for way in RIVALS
        },
    }
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in starts}
    for turn in range(place.sizes.repeats):
        for name, start in starts.items():
            with start() as url:
                address = sync(url) if name == "ours" else f"{url}/videos"
                drive(address, burst([body(i, i, steps=1) for i in range(2)]))
                rounds[name].append(_round(name, url, address, turn, place.sizes))
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


def _round(name: str, url: str, address: str, turn: int, sizes: Sizes) -> dict[str, Any]:
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


def knee(place: Place) -> dict[str, Any]:
    """Throughput and latency by how many requests are under way at a time."""
    data = store_of(place, place.sizes.encoders)
    found: dict[str, Any] = {}
    with ours(data, place.threads, videos_in_flight=64) as url:
        drive(sync(url), burst([body(i, i, steps=1) for i in range(2)]))
        for count in (1, 2, 4, 8, 16, 32):
            bodies = [
                body(i % CONCURRENT, 20_000 + 100 * count + i, steps=4)
                for i in range(max(count, 4))
            ]
            seen: list[Answer] = []
            began = perf_counter()
            for start in range(0, len(bodies), count):
                seen += drive(sync(url), burst(bodies[start : start + count]))
            rate = round(len(bodies) / (perf_counter() - began), 4)
            found[str(count)] = {"throughput": rate, **latency(seen)}
    most = max(one["throughput"] for one in found.values())
    at = next(count for count, one in found.items() if one["throughput"] >= 0.95 * most)
    return {"concurrent": found, "knee": int(at)}


def making(place: Place) -> dict[str, Any]:
    """S7: the same requests while an encoder is made (optimised and judged) and while none is."""
    data = store_of(place, place.sizes.encoders)
    with ours(data, place.threads) as url:
        drive(sync(url), burst([body(i, i, steps=1) for i in range(2)]))
        bodies = [body(i, 30_000 + i, steps=4, frames=8) for i in range(place.sizes.playing)]
        [alone] = drive(sync(url), burst(bodies[:1]))
        rate = 0.5 / alone.seconds
        arrivals = poisson(bodies, rate, seed=7)
        without = [one.seconds for one in drive(sync(url), arrivals)]
        asked = {"id": f"made-{time_ns()}", "concept": "pogo", "kind": "character"}
        httpx.post(f"{url}/v1/encoders", json=asked).raise_for_status()
        sleep(1.0)
        during = [one.seconds for one in drive(sync(url), arrivals)]
        state = httpx.get(f"{url}/v1/encoders/{asked['id']}").json()
    p95 = {
        name: round(float(np.percentile(each, 95)), 4)
        for name, each in (("without", without), ("with", during))
    }
    return {
        "rate": round(rate, 3),
        "p95": p95,
        "the encoder at the end": {key: state.get(key) for key in ("status", "phase", "progress")},
        "S7: p95 with ÷ without": _quantile_ratio(during, without),
        "mean with ÷ without": ratio(during, without),
    }


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


def memory(place: Place) -> dict[str, Any]:
    """S9: the process's memory over many swaps across 200 encoders, of which half fit."""
    count = 200
    data = store_of(place, count)
    backbone = load_backbone(WEIGHTS)
    store = publish(backbone, data / "encoders", count)
    cards = {number: store.card(name_of(number)) for number in range(count)}
    one = sum(tensor.nbytes for tensor in store.load(name_of(0)).overrides.values())
    engine = Engine(
        lambda: backbone,
        lambda loaded: Residency(loaded.text_encoder, store, one * count // 2, loaded.device),
    )
    engine.start()
    engine.wait_ready()
    process, seen = psutil.Process(os.getpid()), list[tuple[int, int]]()
    order = np.random.default_rng(0).integers(count, size=place.sizes.swaps)
    for i, number in enumerate(order):
        card = cards[int(number)]
        request = GenerationRequest(
            f"{prompt(i)} {i}", encoder=(card.id, card.digest), steps=1, guidance=1, frames=None
        )
        engine.submit(request).result()
        if (i + 1) % (place.sizes.swaps // 20) == 0:
            seen.append((i + 1, process.memory_info().rss))
    stats = engine.residency.stats()
    engine.stop()
    warm = [size for swaps, size in seen if swaps > place.sizes.swaps // 4]
    return {
        "swaps": place.sizes.swaps,
        "loads": stats.misses,
        "evictions": stats.evictions,
        "MiB": [[swaps, round(size / 2**20, 1)] for swaps, size in seen],
        "S9: growth after warm-up": round(warm[-1] / warm[0] - 1, 4),
    }


PARTS: Mapping[str, Callable[[Place], dict[str, Any]]] = {
    "start": start,
    "overhead": overhead,
    "against": against,
    "knee": knee,
    "making": making,
    "memory": memory,
}


def _rise(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float:
    return after[f"palimpsest_{name}"] - before[f"palimpsest_{name}"]


def batches(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, int]:
    """Steps by the size of their batch, from the histogram's cumulated counts."""
    pattern = re.compile(r'palimpsest_batch_size_bucket\{le="([\d.]+)"\}')
    edges = sorted((float(m[1]), name) for name in after if (m := pattern.fullmatch(name)))
    cumulated = [0.0, *(after[name] - before[name] for _, name in edges)]
    counts = [int(high - low) for low, high in pairwise(cumulated)]
    return {f"{edge:g}": count for (edge, _), count in zip(edges, counts, strict=True) if count}


def _quantile_ratio(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """Of two 95th percentiles, with a bootstrap interval over the pairs."""
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
