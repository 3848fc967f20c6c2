"""The parts of the fault benchmark, each for one goal, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.access import access
from benchmarks.faults.crowding import crowding
from benchmarks.faults.fairness import fairness
from benchmarks.faults.kills import kills
from benchmarks.faults.malformed import malformed
from benchmarks.faults.outages import outages
from benchmarks.faults.untrusted import untrusted
from benchmarks.faults.upgrades import upgrades


@dataclass(frozen=True)
class FaultSizes:
    """Numbers and times of a run."""

    kills: int = 50
    outage_s: float = 30.0
    connections: int = 1000
    requests: int = 10_000
    spellings: int = 60
    pictures: int = 20
    every: int = 1
    queued: int = 1000
    rounds: int = 9


COARSE = FaultSizes(
    kills=3,
    outage_s=5.0,
    connections=100,
    requests=400,
    spellings=4,
    pictures=2,
    every=7,
    queued=20,
    rounds=2,
)

PARTS: Mapping[str, Callable[[Path, FaultSizes], dict[str, Any]]] = {
    "kills": lambda work, sizes: kills(work, sizes.kills),
    "malformed": lambda work, sizes: malformed(work, sizes.requests),
    "access": lambda work, sizes: access(work, sizes.spellings),
    "untrusted": lambda work, sizes: untrusted(work, sizes.pictures),
    "outages": lambda work, sizes: outages(work, sizes.outage_s),
    "crowding": lambda work, sizes: crowding(work, sizes.connections),
    "fairness": lambda work, sizes: fairness(work, sizes.queued, sizes.rounds),
    "upgrades": lambda work, sizes: upgrades(work, sizes.every),
}
