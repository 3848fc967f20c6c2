"""S11: jobs a second of several replicas, against one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.served import call, patient
from benchmarks.replicas.cluster import Cluster, cluster

STEPS = 8
_LOOK_S = 0.05
_ALONE = {"max_batch": 1, "videos_in_flight": 2, "key_queued": 0, "max_queued_videos": 100_000}
"""A job is a fixed time of the device: no two share steps, and the next one waits beside it."""
_STATES = "SELECT status, count(*) FROM videos GROUP BY status"


def throughput(work: Path, counts: Sequence[int], jobs: int, step_s: float) -> dict[str, Any]:
    """Measure jobs a second of some numbers of replicas.

    Args:
        work: Folder of the servers' data and logs.
        counts: Numbers of replicas; the first is what the others are compared with.
        jobs: Jobs for each replica.
        step_s: Seconds of a denoising step.
    """
    found: dict[str, Any] = {"seconds of a job on the device": STEPS * step_s}
    rates: dict[int, float] = {}
    for count in counts:
        with cluster(work / f"{count}", count, step_s, **_ALONE) as made:
            before = _load_of(made)
            rates[count] = _rate(made, jobs * count)
            found[f"{count} replicas"] = {
                "jobs a second": round(rates[count], 4),
                "share of the number": round(rates[count] / rates[counts[0]] / count, 4),
                "a job's cost": _cost(before, _load_of(made), jobs * count),
            }
    shares = [rates[count] / rates[counts[0]] / count for count in counts]
    found["S11: at least 0.95 of the number"] = min(shares) >= 0.95
    return found


def _rate(made: Cluster, jobs: int) -> float:
    """Have jobs accepted, each by the next replica, and return how many end a second.

    The time runs from when every replica is at work to when there is no more for each of them.
    """
    addresses = cycle(replica.url for replica in made.replicas)
    for number in range(jobs):
        _ask(next(addresses), number)
    ended: list[tuple[float, int]] = []
    count = len(made.replicas)
    while True:
        states = dict(made.rows(_STATES))
        now, done = time.monotonic(), states.get("completed", 0)
        if states.get("failed"):
            raise RuntimeError(f"jobs failed: {states}")
        if not ended or done > ended[-1][1]:
            ended.append((now, done))
        if states.get("queued", 0) == 0 and states.get("in_progress", 0) <= count:
            break
        time.sleep(_LOOK_S)
    times = np.array(ended)
    return _slope(times[times[:, 1] >= count])


def _slope(ended: NDArray[np.float64]) -> float:
    """Return the least-squares slope of (time, jobs done) rows."""
    return float(np.polyfit(ended[:, 0] - ended[0, 0], ended[:, 1], 1)[0])


def _ask(url: str, seed: int) -> None:
    body = {"prompt": "pogo in a meadow", "steps": STEPS, "frames": 4, "guidance": 1, "seed": seed}
    answer = patient(lambda: call(url, "POST", "/v1/videos", body))
    if not answer.is_success:
        raise RuntimeError(f"{answer.status_code} {answer.text[:300]}")


def _load_of(made: Cluster) -> dict[str, float]:
    """Return what the database and the servers have done so far."""
    [[commits, written, wal]] = made.rows(
        "SELECT xact_commit, tup_inserted + tup_updated + tup_deleted, "
        "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float "
        "FROM pg_stat_database WHERE datname = current_database()"
    )
    processor = 0.0
    for replica in made.replicas:
        worker = replica.worker()
        if worker is not None:
            times = worker.cpu_times()
            processor += times.user + times.system
    return {
        "commits in PostgreSQL": commits,
        "rows written": written,
        "bytes of WAL": wal,
        "seconds of a server's processor": processor,
    }


def _cost(before: dict[str, float], after: dict[str, float], jobs: int) -> dict[str, float]:
    return {name: round((after[name] - before[name]) / jobs, 3) for name in before}
