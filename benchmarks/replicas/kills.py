"""H7: replicas die, the database and the store go away, and no accepted job is lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.faults.ledger import WRONG, Ledger, Load
from benchmarks.faults.served import Served
from benchmarks.replicas.cluster import Cluster, cluster
from benchmarks.replicas.round_robin import round_robin

REPLICAS = 3
STEP_S = 0.1
AWAY_S = 30.0
DRAIN_S = 300.0
_SWEPT_S = 90.0
"""Longest time until files that no row names are removed."""


def kills(work: Path, count: int, pause_s: float, seed: int = 0) -> dict[str, Any]:
    """Kill a random replica `count` times under load, and count what is lost.

    After a sixth and a third of the kills PostgreSQL is away for `AWAY_S` seconds, after two thirds
    the store; then one replica is stopped for as long, alive, and goes on afterwards.

    Args:
        work: Folder of the servers' data and logs.
        count: Kills.
        pause_s: Seconds between two, at most.
        seed: Decides whom and when.
    """
    random_ = random.Random(seed)
    settings = {"key_queued": 0, "max_queued_videos": 100_000, "allow_unauthenticated": True}
    with cluster(work, REPLICAS, STEP_S, **settings) as made:
        with round_robin([replica.url for replica in made.replicas]) as url:
            ledger = Ledger(url)
            load = Load(ledger, most=12, encoder_every=0)
            load.start()
            try:
                for number in range(count):
                    time.sleep(random_.uniform(0, pause_s))
                    _kill(random_.choice(made.replicas))
                    for when, trouble in _TROUBLES.items():
                        if number == int(when * count):
                            trouble(made)
            finally:
                load.stop()
            for replica in made.replicas:
                replica.wait_ready()
            drained = ledger.wait_ended(DRAIN_S)
            outcome = ledger.outcome()
            through_each = [_unreadable(replica, ledger) for replica in made.replicas]
        orphans = _orphans(made)
        objects = len(_objects_of_videos(made))
    wrong = {name: value for name, value in outcome.items() if name in WRONG and value}
    return {
        "kills": count,
        **outcome,
        "seconds to end the rest": round(drained),
        "results that a replica does not hand out": through_each,
        "objects of videos": objects,
        "objects without a row after the sweep": orphans,
        "H7: nothing lost, failed or doubled": not wrong
        and not any(through_each)
        and not orphans
        and objects > 0,
    }


def _kill(replica: Served) -> None:
    """Kill a replica with SIGKILL, parent and worker, and start it again."""
    worker = replica.worker()
    if worker is not None:
        worker.kill()
    replica.kill_parent()
    replica.start()


def _postgres_away(made: Cluster) -> None:
    made.postgres.stop()
    time.sleep(AWAY_S)
    made.postgres.start()


def _store_away(made: Cluster) -> None:
    with made.store.closed():
        time.sleep(AWAY_S)


def _stopped(made: Cluster) -> None:
    worker = made.replicas[0].worker()
    if worker is not None:
        worker.suspend()
        time.sleep(AWAY_S)
        worker.resume()


_TROUBLES: dict[float, Callable[[Cluster], None]] = {
    1 / 6: _postgres_away,
    1 / 3: _postgres_away,
    2 / 3: _store_away,
    5 / 6: _stopped,
}
"""Share of the kills after which something else happens too."""


def _unreadable(replica: Served, ledger: Ledger) -> int:
    """Return how many of the finished videos a replica does not hand out whole."""
    found = (httpx.get(f"{replica.url}/v1/videos/{v}/content") for v in ledger.videos)
    return sum(one.status_code != 200 or b"ftyp" not in one.content[:32] for one in found)


def _orphans(made: Cluster) -> list[str]:
    """Return the objects of videos that no row names, once the sweeps had time to remove them."""
    until = time.monotonic() + _SWEPT_S
    while True:
        rows = {f"{job}/{attempt}" for job, attempt in made.rows("SELECT id, attempt FROM videos")}
        found = [
            key
            for key in _objects_of_videos(made)
            if "/".join(key.split("/videos/")[1].split("/")[:2]) not in rows
        ]
        if not found or time.monotonic() > until:
            return found
        time.sleep(2)


def _objects_of_videos(made: Cluster) -> list[str]:
    """Return the keys below `videos/<id>/<attempt>/`."""
    stored = made.stored()
    return [key for key in stored if "/videos/" in key and key.split("/videos/")[1].count("/") >= 2]
