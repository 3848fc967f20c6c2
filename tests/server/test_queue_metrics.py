"""Metrics of the queues: what all replicas say alike, and what is one replica's own."""

from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from server.queue_metrics import OF_ALL, SHARED, QueueCollector
from server.storage.database import Database
from server.storage.records import FAILED, IN_PROGRESS, EncoderRecord, VideoRecord
from server.storage.replica_rows import ReplicaRow
from server.storage.replica_table import LEASE_S
from tests.server.help import Client, device_held, wait_for

VIDEO = {"prompt": "pogo in a meadow", "steps": 2, "frames": 2, "seed": 1}
AGE_S = 40


def video(number: int, **values: object) -> VideoRecord:
    fixed = {
        "owner": "acme",
        "request_hash": "x",
        "model": "tiny",
        "prompt": "a prompt",
        "negative_prompt": "",
        "seed": 1,
        "steps": 1,
        "guidance": 1.0,
        "frames": 1,
        "fps": 8,
        "width": 64,
        "height": 64,
        "lifetime": 60,
    }
    return VideoRecord(id=f"video_{number}", **fixed, **values)


def replica(name: str, seen_at: float) -> ReplicaRow:
    return ReplicaRow(
        id=name,
        started_at=seen_at,
        seen_at=seen_at,
        host="h",
        process=1,
        version="1",
        store="s3://x",
        slots=1,
    )


def test_the_queues_are_those_of_the_database(database: Database) -> None:
    now = time.time()
    with database.writing() as session:
        session.add_all(
            [
                video(1, replica="one", status=IN_PROGRESS, created_at=int(now) - 900),
                video(2, replica="one"),  # taken, and not begun by the engine
                video(3, created_at=int(now) - AGE_S),
                video(4),
                video(5, status=FAILED, created_at=int(now) - 900),
                replica("one", now),
                replica("dead", now - 2 * LEASE_S),
            ]
        )
    own = {VideoRecord: 1, EncoderRecord: 0}
    families = QueueCollector(database, lambda table: own[table]).collect()
    found = {
        (sample.name.removeprefix("palimpsest_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    age = found.pop(("queue_oldest_seconds", "videos"))
    assert AGE_S <= age < AGE_S + 30
    # Where one server at a time uses the database, no row ages, and a dead one's goes at a start.
    alive = 1 if database.is_shared else 2
    assert found == {
        ("queue_depth", "videos"): 2,
        ("queue_running", "videos"): 2,
        ("running", "videos"): 1,
        ("queue_depth", "encoders"): 0,
        ("queue_running", "encoders"): 0,
        ("queue_oldest_seconds", "encoders"): 0,
        ("running", "encoders"): 0,
        ("replicas", "all"): alive,
    }


def test_a_server_shows_its_queue_and_says_what_is_of_all(client: Client) -> None:
    with device_held(client.runtime):
        video = client.post("/v1/videos", json=VIDEO).json()["id"]
        until = time.monotonic() + 20
        while time.monotonic() < until:
            families = list(text_string_to_metric_families(client.get("/metrics").text))
            values = {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}
            running = [values[f"palimpsest_{of}running", "videos"] for of in ("", "queue_")]
            if all(running):  # what is of all replicas is read a little later
                break
    assert running == [1, 1]
    assert values["palimpsest_replicas", "all"] == 1
    of_all = {family.name for family in families if OF_ALL in family.documentation}
    assert of_all == SHARED
    wait_for(client, f"/v1/videos/{video}")
