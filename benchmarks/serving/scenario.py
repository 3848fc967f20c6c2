"""The scenario: the requests that every server gets, and the folder of the data."""

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
    """Numbers of encoders, requests and repeats of a run."""

    encoders: int = ENCODERS
    pairs: int = 40
    """Pairs of requests whose times are compared."""
    repeats: int = 3
    short: int = 10
    """Short requests, sent while `CONCURRENT` - 4 long ones run."""
    playing: int = 100
    """Requests while encoders are made, and the same number while none is made."""
    starts: int = 5
    swaps: int = 10_000


@dataclass(frozen=True)
class Scenario:
    """A work folder that is kept between runs, the CPU threads of every server, and the sizes."""

    work: Path
    threads: int
    sizes: ScenarioSizes


def read_metrics(url: str) -> dict[str, float]:
    """Return the values of the server's metrics, by name and labels as `/metrics` writes them."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def prepare_store(scenario: Scenario, count: int) -> Path:
    """Return a data folder whose store has at least `count` encoders; publish what is missing."""
    data = scenario.work / "data"
    data.mkdir(parents=True, exist_ok=True)
    publish(load_backbone(WEIGHTS).text_encoder, data / "encoders", count)
    return data


def sibling_data(data: Path) -> Path:
    """Return the data folder of a second server, over the same store of encoders."""
    other = data.with_name("data-cold")
    other.mkdir(exist_ok=True)
    if not (other / "encoders").exists():
        (other / "encoders").symlink_to(data / "encoders")
    return other


def body(encoder: int, seed: int, *, steps: int = 12, frames: int = 12) -> Body:
    """Return the body of a request for the clip of an encoder's number and a seed."""
    return {
        "prompt": prompt(seed),
        "encoder": name_of(encoder),
        "seed": seed,
        "steps": steps,
        "guidance": 2.0,
        "frames": frames,
    }


def prompt(number: int) -> str:
    """Return a prompt that no other number has: a subject, a place and the number."""
    subjects, places = list(SUBJECT_WORDS), list(PLACE_WORDS)
    subject = SUBJECT_WORDS[subjects[number % len(subjects)]][0]
    place = PLACE_WORDS[places[number // len(subjects) % len(places)]][0]
    return f"{subject} {place} {number}"


def sync_url(url: str) -> str:
    """Return the address of the route that answers with the finished clip."""
    return f"{url}/v1/videos/sync"
