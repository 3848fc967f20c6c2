"""H9: one key with a thousand queued videos delays another key's one by a clip at most."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import httpx

from benchmarks.faults.keys import write_keys
from benchmarks.faults.served import call, served

_HASTY = 5
"""Requests a minute of a key with few of them."""
_CLIP = {"prompt": "pogo in a meadow", "steps": 8, "frames": 8}


def fairness(work: Path, queued: int, rounds: int) -> dict[str, Any]:
    """Let one key queue videos, and measure how long another key's one video takes.

    Args:
        work: the folder for data and logs.
        queued: videos of the first key; its own limit on them is raised to this.
        rounds: videos of the second key, one after the other.
    """
    home = work / "fairness"
    home.mkdir(parents=True, exist_ok=True)
    keys = write_keys(
        home / "keys.json",
        greedy={"limits": {"queued": queued}},
        modest={},
        hasty={"limits": {"requests_per_minute": _HASTY}},
    )
    with served(home / "data", home, keys_file=keys) as server:

        def one(key: str) -> float:
            began = perf_counter()
            answer = call(server.url, "POST", "/v1/videos/sync", _CLIP, key=key, timeout=900)
            answer.raise_for_status()
            return perf_counter() - began

        one("secret-modest")
        alone = [one("secret-modest") for _ in range(5)]
        _fill(server.url, queued)
        limit = _until_refused(server.url, "greedy", queued)
        beside = [one("secret-modest") for _ in range(rounds)]
        hasty = _until_refused(server.url, "hasty", 2 * _HASTY)  # last: its videos take turns too
        usage = call(server.url, "GET", "/v1/usage", key="secret-greedy").json()
    clip = median(alone)
    delays = [(each - clip) / clip for each in beside]
    return {
        "seconds alone": [round(each, 2) for each in alone],
        f"seconds beside {queued} queued": [round(each, 2) for each in beside],
        "delay, median, in clips of the other": round(median(delays), 2),
        "delay, longest": round(max(delays), 2),
        "the greedy key's next": _told(limit),
        "a hasty key's next": _told(hasty),
        "the greedy key's usage": usage,
        "H9: at most one clip, and 429 at the limit": max(delays) <= 1
        and all(
            answer.status_code == 429 and "retry-after" in answer.headers
            for answer in (limit, hasty)
        ),
    }


def _until_refused(url: str, key: str, most: int) -> httpx.Response:
    """Ask for videos until one is refused, at most so often; return the last answer."""
    answer = call(url, "POST", "/v1/videos", _CLIP, key=f"secret-{key}")
    while answer.is_success and most > 0:
        answer = call(url, "POST", "/v1/videos", _CLIP, key=f"secret-{key}")
        most -= 1
    return answer


def _told(answer: httpx.Response) -> str:
    if answer.is_success:
        return "taken"
    seconds = answer.headers.get("retry-after")
    return f"{answer.status_code} {answer.json()['error']['message']} (Retry-After: {seconds})"


def _fill(url: str, count: int) -> None:
    """Have `count` videos of the greedy key accepted."""
    headers = {"Authorization": "Bearer secret-greedy"}
    with httpx.Client(base_url=url, headers=headers, timeout=120) as client:

        def send(seed: int) -> None:
            while True:
                answer = client.post("/v1/videos", json={**_CLIP, "seed": seed})
                if answer.status_code == 200:
                    return
                if "minute" not in answer.text:  # only its limit of requests a minute passes
                    answer.raise_for_status()
                time.sleep(float(answer.headers.get("retry-after", "1")))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(count)))
