"""What is asked of every server, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import WEIGHTS
from benchmarks.serving.encoders import name_of, publish
from starter.captions import PLACE_WORDS, SUBJECT_WORDS
from video import load_backbone

Body = dict[str, Any]
ENCODERS = 1000
CONCURRENT = 16


@dataclass(frozen=True)
class ScenarioSizes:
    """How much is asked of the servers."""

    encoders: int = ENCODERS
    pairs: int = 40
    """Of requests that are compared one with the other."""
    repeats: int = 3
    short: int = 10
    """Short requests among `CONCURRENT` long ones."""
    playing: int = 100
    """Requests while encoders are made, and as many while none is."""
    starts: int = 5
    swaps: int = 10_000


@dataclass(frozen=True)
class Scenario:
    """Where it is done: a folder that is kept, and the threads of every server."""

    work: Path
    threads: int
    sizes: ScenarioSizes


def read_metrics(url: str) -> dict[str, float]:
    """The server's metrics, by their names as they are written."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def prepare_store(scenario: Scenario, count: int) -> Path:
    """A data folder whose store has so many encoders."""
    data = scenario.work / "data"
    data.mkdir(parents=True, exist_ok=True)
    publish(load_backbone(WEIGHTS).text_encoder, data / "encoders", count)
    return data


def sibling_data(data: Path) -> Path:
    """A data folder of another server over the same store."""
    other = data.with_name("data-cold")
    other.mkdir(exist_ok=True)
    if not (other / "encoders").exists():
        (other / "encoders").symlink_to(data / "encoders")
    return other


def body(encoder: int, seed: int, *, steps: int = 12, frames: int = 12) -> Body:
    return {
        "prompt": prompt(seed),
        "encoder": name_of(encoder),
        "seed": seed,
        "steps": steps,
        "guidance": 2.0,
        "frames": frames,
    }


def prompt(number: int) -> str:
    """One that nobody else asks for: its subject, its place and the seed."""
    subjects, places = list(SUBJECT_WORDS), list(PLACE_WORDS)
    subject = SUBJECT_WORDS[subjects[number % len(subjects)]][0]
    place = PLACE_WORDS[places[number // len(subjects) % len(places)]][0]
    return f"{subject} {place} {number}"


def sync_url(url: str) -> str:
    return f"{url}/v1/videos/sync"
