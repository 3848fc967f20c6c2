"""H7: replicas die, the database and the store go away, and no accepted job is lost.

H6 beside it: a customer whose key is bound to a set gets nothing else, and its set evaluated whole.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.faults.keys import write_keys
from benchmarks.faults.ledger import WRONG, Ledger, Load
from benchmarks.faults.served import Served
from benchmarks.replicas.bound_customer import (
    KEYS,
    MEMBERS,
    OTHER,
    POLICY,
    BoundCustomer,
    headers,
    unlike_the_policy,
)
from benchmarks.replicas.cluster import Cluster, cluster
from benchmarks.replicas.round_robin import round_robin
from encoders.store import EncoderStore
from tests.prepared.make import STORE

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
    keys = write_keys(work / "keys.json", **KEYS)
    settings = {"key_queued": 1_000, "max_queued_videos": 100_000, "keys_file": keys}
    with cluster(work, REPLICAS, STEP_S, **settings) as made:
        prepared = EncoderStore(STORE)
        encoders = [prepared.load(name) for name in (*MEMBERS, OTHER)]
        identities = made.publish_set(encoders, POLICY)
        with round_robin([replica.url for replica in made.replicas]) as url:
            ledger = Ledger(url, headers("studio"))
            load = Load(ledger, most=12, encoder_every=0)
            bound = BoundCustomer(url, ledger)
            load.start()
            bound.start()
            try:
                for number in range(count):
                    time.sleep(random_.uniform(0, pause_s))
                    _kill(random_.choice(made.replicas))
                    for when, trouble in _TROUBLES.items():
                        if number == int(when * count):
                            trouble(made)
            finally:
                load.stop()
                bound.stop()
            for replica in made.replicas:
                replica.wait_ready()
            drained = ledger.wait_ended(DRAIN_S) + bound.own.wait_ended(DRAIN_S)
            outcome, of_bound = ledger.outcome(), bound.own.outcome()
            through_each = [
                _unreadable(replica, account)
                for replica in made.replicas
                for account in (ledger, bound.own)
            ]
        beside = unlike_the_policy(made, identities)
        orphans = _orphans(made)
        objects = len(_objects_of_videos(made))
    return {
        "kills": count,
        **outcome,
        "of the bound key": of_bound,
        "seconds to end the rest": round(drained),
        "results that a replica does not hand out": through_each,
        "objects of videos": objects,
        "objects without a row after the sweep": orphans,
        "the bound key's other requests": dict(bound.answers),
        "what the bound key got": (bound.wrong + beside)[:20],
        "H7: nothing lost, failed or doubled": not _wrong(outcome)
        and not _wrong(of_bound)
        and not any(through_each)
        and not orphans
        and objects > 0,
        "H6: nobody gets what is not theirs": not bound.wrong
        and not beside
        and bound.answers["403"] > 0
        and len(bound.own.videos) > 0,
    }


def _wrong(outcome: dict[str, Any]) -> bool:
    """Return True if something was lost, failed or doubled."""
    return any(outcome[name] for name in WRONG)


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
    found = (
        httpx.get(f"{replica.url}/v1/videos/{v}/content", headers=ledger.headers)
        for v in ledger.videos
    )
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
