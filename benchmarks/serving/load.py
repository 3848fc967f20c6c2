"""Open-loop load: requests arrive at given times, whether or not earlier ones are done."""

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
    """A request and its arrival time, in seconds since the load began."""

    at: float
    body: Mapping[str, Any]
    sort: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to a request, and its timing."""

    arrival: Arrival
    seconds: float
    """Time from sending the request to the last byte of the answer."""
    ended: float
    """Time of the last byte, in seconds since the load began."""


def burst(bodies: Iterable[Mapping[str, Any]], sort: str = "") -> list[Arrival]:
    """Return arrivals that are all at time 0."""
    return [Arrival(0.0, body, sort) for body in bodies]


def poisson(
    bodies: Sequence[Mapping[str, Any]], rate: float, seed: int, sort: str = ""
) -> list[Arrival]:
    """Return arrivals of a Poisson process with `rate` requests a second."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, len(bodies))
    return [Arrival(float(at), b, sort) for at, b in zip(gaps.cumsum(), bodies, strict=True)]


def drive(url: str, arrivals: Sequence[Arrival]) -> list[Answer]:
    """Send all the requests to `url`, and return their answers in the order of `arrivals`.

    Raises:
        RuntimeError: an answer is not 200. A quick failure must not count as a fast answer.
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
    """Return the mean, p50, p95 and p99 of the answers' seconds."""
    seconds = [answer.seconds for answer in answers]
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    named = {"mean": float(np.mean(seconds)), "p50": p50, "p95": p95, "p99": p99}
    return {name: round(float(value), 4) for name, value in named.items()}


def throughput(answers: Sequence[Answer]) -> float:
    """Return requests a second, from the beginning of the load to the last answer."""
    return round(len(answers) / max(answer.ended for answer in answers), 4)
