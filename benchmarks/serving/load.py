"""An open loop: requests arrive when they arrive, whether or not the last one is done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx
import numpy as np

REQUEST_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Arrival:
    """A request and when it comes, in seconds."""

    at: float
    body: Mapping[str, Any]
    sort: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of one."""

    arrival: Arrival
    seconds: float
    """From when it came to its last byte."""
    ended: float
    """Seconds since the load began."""


def burst(bodies: Iterable[Mapping[str, Any]], sort: str = "") -> list[Arrival]:
    """All at once."""
    return [Arrival(0.0, body, sort) for body in bodies]


def poisson(
    bodies: Sequence[Mapping[str, Any]], rate: float, seed: int, sort: str = ""
) -> list[Arrival]:
    """At `rate` a second on average, each independent of the others."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, len(bodies))
    return [Arrival(float(at), b, sort) for at, b in zip(gaps.cumsum(), bodies, strict=True)]


def drive(url: str, arrivals: Sequence[Arrival]) -> list[Answer]:
    """Sends them all and waits for the answers. An answer that is not 200 is a RuntimeError: what
    fails quickly must not count as fast.
    """
    return asyncio.run(_drive(url, arrivals))


async def _drive(url: str, arrivals: Sequence[Arrival]) -> list[Answer]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S, limits=limits) as client:
        began = perf_counter()

        async def send(arrival: Arrival) -> Answer:
            await asyncio.sleep(max(0.0, began + arrival.at - perf_counter()))
            sent = perf_counter()
            answer = await client.post(url, json=dict(arrival.body))
            if answer.status_code != 200:
                raise RuntimeError(f"{answer.status_code}: {answer.text[:300]}")
            now = perf_counter()
            return Answer(arrival, now - sent, now - began)

        return list(await asyncio.gather(*map(send, arrivals)))


def latency(answers: Sequence[Answer]) -> dict[str, float]:
    """Mean, p50, p95 and p99 in seconds."""
    seconds = [answer.seconds for answer in answers]
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    named = {"mean": float(np.mean(seconds)), "p50": p50, "p95": p95, "p99": p99}
    return {name: round(float(value), 4) for name, value in named.items()}


def throughput(answers: Sequence[Answer]) -> float:
    """Requests a second, from the first arrival to the last answer."""
    return round(len(answers) / max(answer.ended for answer in answers), 4)
