"""Two replicas on one database and one bucket: each job is made once, whoever of them dies."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from encoders.object_blobs import ObjectBlobs
from server.storage.ledger_rows import LedgerRow
from server.storage.postgres_content import JOBS_SCHEMA
from server.storage.records import IN_PROGRESS, PENDING, EncoderRecord, VideoRecord
from tests.object_server import ObjectServer
from tests.server.help import wait_for
from tests.server.replicas import Replica, Replicas, started, until

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}
LONG = {"prompt": "pogo in a meadow", "steps": 100, "frames": 16, "seed": 5}
ENCODER = {"concept": "pogo", "kind": "character", "settings": {"steps": 60}}
JUDGING = {"min_base_rate": 0, "max_probes": 1, "judged_videos": 1}
PER_KEY = 3
TAKEN_UP_S = 30.0
"""Goal: a dead replica's job is another's after this time at the latest."""


@pytest.fixture(scope="module")
def bucket(object_server: ObjectServer) -> str:
    return object_server.bucket()


@pytest.fixture(scope="module")
def replicas(
    quick_backbone_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    bucket: str,
) -> Generator[Replicas]:
    settings = {"videos_in_flight": 4, "videos_in_flight_per_key": PER_KEY, **JUDGING}
    home = tmp_path_factory.mktemp("replicas")
    with started(
        quick_backbone_dir, home, database=postgres_url, store=bucket, **settings
    ) as replicas:
        yield replicas


def posted(replica: Replica, path: str, body: dict[str, Any]) -> str:
    answer = replica.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def begun(replicas: Replicas, video: str) -> Replica:
    """Wait until a video is being made, and return the replica that makes it."""
    row = replicas.row(VideoRecord, video)
    until(lambda: replicas.row(VideoRecord, video).status == IN_PROGRESS, f"{row.id} waits", 30)
    return replicas.by_id(replicas.row(VideoRecord, video).replica)


def entries(replicas: Replicas) -> Counter[str]:
    """Return how often the ledger has each video."""
    with replicas.database.reading() as session:
        return Counter(str(name) for name in session.scalars(select(LedgerRow.video_id)))


def attempts_in(bucket: str, video: str) -> set[int]:
    """Return the attempts at a video of which the bucket has files."""
    items = ObjectBlobs(f"{bucket}/videos").walk(video)
    return {int(item.path.split("/")[1]) for item in items}


def test_each_job_is_made_once_and_limits_hold_over_both(replicas: Replicas) -> None:
    videos = [posted(replicas.both[n % 2], "/v1/videos", QUICK) for n in range(24)]
    most = 0
    while pending := [r for r in replicas.rows(VideoRecord) if r.status in PENDING]:
        held = [row for row in pending if row.replica is not None]
        most = max(most, len(held))
        time.sleep(0.02)
    rows = replicas.rows(VideoRecord)
    assert {row.status for row in rows} == {"completed"}
    assert {row.attempt for row in rows} == {1}, "a job was begun twice"
    assert most == PER_KEY
    assert len({row.replica for row in rows}) == 2, "one replica made all"
    assert entries(replicas) == Counter(videos)
    with replicas.database.reading() as session:
        count = text(f"SELECT count(*) FROM {JOBS_SCHEMA}.workflow_status")
        assert session.scalar(count) == len(videos)


def test_a_replica_that_was_stopped_for_a_while_drops_what_is_anothers(
    replicas: Replicas, bucket: str
) -> None:
    video = posted(replicas.both[0], "/v1/videos", LONG)
    stopped = begun(replicas, video)
    other = replicas.besides(stopped)
    first = replicas.row(VideoRecord, video)
    os.kill(stopped.process.pid, signal.SIGSTOP)
    try:
        taken = until(
            lambda: replicas.row(VideoRecord, video).replica not in (None, first.replica),
            "nobody took the job up",
            TAKEN_UP_S,
        )
        print(f"taken up {taken:.1f} s after SIGSTOP")
        done = wait_for(other.client, f"/v1/videos/{video}")
    finally:
        os.kill(stopped.process.pid, signal.SIGCONT)
    assert done["status"] == "completed"
    made = replicas.row(VideoRecord, video)
    assert made.interruptions == 1
    assert replicas.by_id(made.replica) is other
    until(lambda: b"not seen for" in stopped.log.read_bytes(), "it noticed nothing", 20)
    # It goes on with new work: the other one may not take any.
    os.kill(other.process.pid, signal.SIGSTOP)
    try:
        again = posted(stopped, "/v1/videos", QUICK)
        assert wait_for(stopped.client, f"/v1/videos/{again}", seconds=10)["status"] == "completed"
    finally:
        os.kill(other.process.pid, signal.SIGCONT)
    assert replicas.row(VideoRecord, again).replica == first.replica
    now = replicas.row(VideoRecord, video)
    assert (now.attempt, now.replica, now.completed_at) == (
        made.attempt,
        made.replica,
        made.completed_at,
    )
    assert attempts_in(bucket, video) == {made.attempt}
    assert set(entries(replicas).values()) == {1}


def test_the_jobs_of_a_killed_replica_are_ended_by_the_other(
    replicas: Replicas, bucket: str
) -> None:
    encoder = posted(replicas.both[0], "/v1/encoders", {**ENCODER, "id": "no-pogo"})
    until(
        lambda: replicas.row(EncoderRecord, encoder).phase == "optimising",
        "the encoder is not begun",
        30,
    )
    killed = replicas.by_id(replicas.row(EncoderRecord, encoder).replica)
    other = replicas.besides(killed)
    video = posted(killed, "/v1/videos", LONG)
    maker = begun(replicas, video)
    dead = replicas.row(EncoderRecord, encoder).replica
    killed.process.kill()
    began = time.monotonic()
    until(
        lambda: replicas.row(EncoderRecord, encoder).replica not in (None, dead),
        "nobody took the job up",
        TAKEN_UP_S,
    )
    print(f"taken up {time.monotonic() - began:.1f} s after SIGKILL")
    assert wait_for(other.client, f"/v1/videos/{video}")["status"] == "completed"
    print(f"the video was made {time.monotonic() - began:.1f} s after SIGKILL")
    made = wait_for(other.client, "/v1/encoders/no-pogo")
    assert made["status"] == "published", made
    rows = [replicas.row(VideoRecord, video), replicas.row(EncoderRecord, encoder)]
    assert {replicas.by_id(row.replica).port for row in rows} == {other.port}
    assert replicas.row(VideoRecord, video).interruptions == (maker is killed)
    assert entries(replicas)[video] == 1
    used = posted(other, "/v1/videos", {**QUICK, "encoder": "no-pogo"})
    assert wait_for(other.client, f"/v1/videos/{used}")["status"] == "completed"
