"""The cost of switching encoders: goals S1, S2 and S9."""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import WEIGHTS
from benchmarks.results import ratio
from benchmarks.serving.encoders import clip_vit_l, large_encoder, name_of, publish
from benchmarks.serving.load import Arrival, burst, drive, latency
from benchmarks.serving.scenario import (
    CONCURRENT,
    Scenario,
    body,
    prepare_store,
    prompt,
    read_metrics,
    sibling_data,
    sync_url,
)
from benchmarks.serving.servers import ours
from encoders.residency import Residency
from video import Engine, GenerationRequest, load_backbone


def overhead(scenario: Scenario) -> dict[str, Any]:
    """Measure S1 and S2: the time of a request that switches encoders ÷ of one that does not.

    The other encoder is resident, or cold on disk; every request has a new prompt. Measures also
    the latency by the number of encoders in use.
    """
    data, pairs = prepare_store(scenario, scenario.sizes.encoders), scenario.sizes.pairs
    found: dict[str, Any] = {}
    with (
        ours(data, scenario.threads) as warm,
        ours(sibling_data(data), scenario.threads, encoder_cache_bytes=1) as cold,
    ):
        tiny = [body(i, i, steps=1, frames=1) for i in range(scenario.sizes.encoders)]
        memory = [_mebibytes(warm)]
        for start in range(0, len(tiny), CONCURRENT):  # loads every encoder
            drive(sync_url(warm), burst(tiny[start : start + CONCURRENT]))
            memory += [_mebibytes(warm)] if start % (10 * CONCURRENT) == 0 else []
        drive(sync_url(cold), burst([body(0, 0)]))
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
                [answer] = drive(sync_url(url), [Arrival(0.0, asked)])
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
                        sync_url(warm), [Arrival(0.0, body(i * 37 % count, 1000 + i, steps=4))]
                    )
                ]
            )
            for count in (1, 10, 100, 1000)
            if count <= scenario.sizes.encoders
        }
        found["memory of the warm server, MiB"] = [*memory, _mebibytes(warm)]
    return found


def resident(scenario: Scenario) -> dict[str, Any]:
    """Measure the second half of S1: the memory of many encoders of CLIP ViT-L/14's size."""
    text_encoder, count = clip_vit_l(), scenario.sizes.encoders
    store = publish(text_encoder, scenario.work / "large", count, large_encoder)
    residency = Residency(text_encoder, store, 2**40, "cpu")
    process = psutil.Process()
    before, loads = process.memory_info().rss, list[float]()
    for number in range(count):
        began = perf_counter()
        with residency.use(store.card(name_of(number)).ref):
            loads.append(perf_counter() - began)
    stats = residency.stats()
    taken = process.memory_info().rss - before
    assert stats.resident == count
    return {
        "encoders": count,
        "bytes of each": stats.resident_bytes // count,
        "seconds to load one": ratio(loads),
        "S1: GiB of 1,000 of CLIP ViT-L/14": round(stats.resident_bytes / count * 1000 / 2**30, 4),
        "GiB that the process has grown by": round(taken / 2**30, 4),
    }


def memory(scenario: Scenario) -> dict[str, Any]:
    """Measure S9: the process's memory over many swaps among 200 encoders, of which half fit."""
    count = 200
    data = prepare_store(scenario, count)
    backbone = load_backbone(WEIGHTS)
    store = publish(backbone.text_encoder, data / "encoders", count)
    cards = {number: store.card(name_of(number)) for number in range(count)}
    one = sum(tensor.nbytes for tensor in store.load(name_of(0)).overrides.values())
    engine = Engine(
        lambda: backbone,
        lambda loaded: Residency(loaded.text_encoder, store, one * count // 2, loaded.device),
    )
    engine.start()
    engine.wait_ready()
    process, seen = psutil.Process(os.getpid()), list[tuple[int, int]]()
    order = np.random.default_rng(0).integers(count, size=scenario.sizes.swaps)
    for i, number in enumerate(order):
        card = cards[int(number)]
        request = GenerationRequest(
            f"{prompt(i)} {i}",
            encoder=card.ref,
            steps=1,
            guidance=1,
            frames=None,
        )
        engine.submit(request).result()
        if (i + 1) % (scenario.sizes.swaps // 20) == 0:
            seen.append((i + 1, process.memory_info().rss))
    stats = engine.residency.stats()
    engine.stop()
    warm = [size for swaps, size in seen if swaps > scenario.sizes.swaps // 4]
    return {
        "swaps": scenario.sizes.swaps,
        "loads": stats.misses,
        "evictions": stats.evictions,
        "MiB": [[swaps, round(size / 2**20, 1)] for swaps, size in seen],
        "S9: growth after warm-up": round(warm[-1] / warm[0] - 1, 4),
    }


def _mebibytes(url: str) -> int:
    """Return the resident memory of the server at an address, in MiB."""
    return round(read_metrics(url)["process_resident_memory_bytes"] / 2**20)
