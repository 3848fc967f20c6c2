"""Servers of each role on one database: two for videos, two for encoders, and an api in front."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from server.storage.records import IN_PROGRESS, EncoderRecord, VideoRecord
from tests.object_server import ObjectServer
from tests.server.help import SERVER_TIMEOUT_S, wait_for
from tests.server.replicas import Replica, Replicas, started, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1}
LONG = {"prompt": "pogo in a meadow", "steps": 40, "frames": 16, "seed": 5}
ENCODER = {"concept": "pogo", "kind": "character", "settings": {"steps": 5}}
JUDGING = {"min_base_rate": 0, "max_probes": 1, "judged_videos": 1}
ROLES = {
    "api": {"role": "api"},
    "videos-1": {"role": "videos"},
    "videos-2": {"role": "videos"},
    "encoders-1": {"role": "encoders"},
    "encoders-2": {"role": "encoders"},
}


@pytest.fixture(scope="module")
def replicas(
    quick_backbone_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    object_server: ObjectServer,
) -> Generator[Replicas]:
    places = {"database": postgres_url, "store": object_server.bucket()}
    settings = {"videos_in_flight": 2, "drain_seconds": 0, "stop_seconds": 600, **JUDGING}
    home = tmp_path_factory.mktemp("roles")
    with started(quick_backbone_dir, home, each=ROLES, **places, **settings) as replicas:
        yield replicas


def posted(replica: Replica, path: str, body: dict[str, Any]) -> str:
    answer = replica.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def listed(replica: Replica) -> dict[str, dict[str, Any]]:
    """Return the living servers, as an admin sees them, by id."""
    answer = replica.client.get("/v1/admin/replicas")
    assert answer.status_code == 200, answer.text
    return {one["id"]: one for one in answer.json()["data"] if one["alive"]}


def role_of(replicas: Replicas, row: Any) -> str:
    maker = replicas.by_id(row.replica)
    return next(name for name, one in replicas.named.items() if one is maker)


def test_each_role_takes_its_own_jobs_and_two_of_one_share_them(replicas: Replicas) -> None:
    api = replicas.named["api"]
    videos = [posted(api, "/v1/videos", {**QUICK, "seed": n}) for n in range(12)]
    encoders = [posted(api, "/v1/encoders", {**ENCODER, "id": f"no-{n}"}) for n in range(2)]
    for name in videos:
        assert wait_for(api.client, f"/v1/videos/{name}")["status"] == "completed"
    for name in encoders:
        assert wait_for(api.client, f"/v1/encoders/{name}")["status"] == "published"
    made = {role_of(replicas, row) for row in replicas.rows(VideoRecord)}
    assert made == {"videos-1", "videos-2"}
    made = {role_of(replicas, row) for row in replicas.rows(EncoderRecord)}
    assert made == {"encoders-1", "encoders-2"}
    roles = sorted(one["role"] for one in listed(api).values())
    assert roles == ["api", "encoders", "encoders", "videos", "videos"]
    assert len({one["model"] for one in listed(api).values()}) == 2, "the workers' and none"
    # An encoder that a worker has published is used through the api, by another worker.
    used = posted(api, "/v1/videos", {**QUICK, "encoder": "no-0"})
    assert wait_for(api.client, f"/v1/videos/{used}")["status"] == "completed"


def test_a_replica_that_is_told_to_drain_ends_its_video_and_takes_no_more(
    replicas: Replicas,
) -> None:
    api = replicas.named["api"]
    begun = posted(api, "/v1/videos", LONG)
    until(
        lambda: replicas.row(VideoRecord, begun).status == IN_PROGRESS,
        "it is not begun",
        SERVER_TIMEOUT_S,
    )
    holder = replicas.row(VideoRecord, begun).replica
    drained = replicas.by_id(holder)
    answer = api.client.post(f"/v1/admin/replicas/{holder}/drain")
    assert answer.status_code == 200, answer.text
    assert answer.json()["draining"]
    assert begun in answer.json()["videos"]
    until(lambda: drained.client.get("/health").status_code == 503, "it is ready", SERVER_TIMEOUT_S)
    assert drained.client.get("/health").json()["error"]["code"] == "draining"
    later = [posted(api, "/v1/videos", {**QUICK, "seed": n}) for n in range(20, 26)]
    for name in (*later, begun):
        assert wait_for(api.client, f"/v1/videos/{name}")["status"] == "completed"
    row = replicas.row(VideoRecord, begun)
    assert (row.replica, row.attempt, row.interruptions) == (holder, 1, 0)
    assert holder not in {replicas.row(VideoRecord, name).replica for name in later}
    assert drained.client.get(f"/v1/videos/{begun}").json()["status"] == "completed"
    one = listed(api)[holder]
    assert (one["draining"], one["videos"]) == (True, [])
    drained.stop()
    drained.launch()
    drained.wait_ready()
    assert not any(one["draining"] for one in listed(api).values())
    nobody = api.client.post(f"/v1/admin/replicas/{holder}/drain")
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "not_found")


def test_a_stopped_replica_hands_back_what_has_not_begun_and_ends_the_rest(
    replicas: Replicas,
) -> None:
    api = replicas.named["api"]
    both = [replicas.named["videos-1"], replicas.named["videos-2"]]
    for one in both[1:]:
        os.kill(one.process.pid, signal.SIGSTOP)
    try:
        names = [posted(api, "/v1/videos", {**LONG, "seed": n}) for n in range(3)]
        rows = [replicas.row(VideoRecord, name) for name in names]
        until(
            lambda: replicas.row(VideoRecord, names[0]).status == IN_PROGRESS,
            "it is not begun",
            SERVER_TIMEOUT_S,
        )
        first = replicas.row(VideoRecord, names[0]).replica
    finally:
        for one in both[1:]:
            os.kill(one.process.pid, signal.SIGCONT)
    both[0].process.terminate()
    both[0].process.wait(SERVER_TIMEOUT_S)
    rows = [replicas.row(VideoRecord, name) for name in names]
    assert (rows[0].status, rows[0].replica, rows[0].attempt) == ("completed", first, 1)
    assert {row.interruptions for row in rows} == {0}
    for name in names:
        assert wait_for(api.client, f"/v1/videos/{name}")["status"] == "completed"
    assert {role_of(replicas, replicas.row(VideoRecord, names[2]))} == {"videos-2"}
    both[0].launch()
    both[0].wait_ready()


def test_without_workers_the_api_takes_jobs_and_gives_dead_ones_back(replicas: Replicas) -> None:
    api = replicas.named["api"]
    workers = [one for name, one in replicas.named.items() if name != "api"]
    begun = posted(api, "/v1/videos", LONG)
    until(
        lambda: replicas.row(VideoRecord, begun).status == IN_PROGRESS,
        "it is not begun",
        SERVER_TIMEOUT_S,
    )
    for one in workers:
        one.process.kill()
        one.process.wait()
    killed = time.monotonic()
    until(
        lambda: replicas.row(VideoRecord, begun).replica is None,
        "nobody took it up",
        SERVER_TIMEOUT_S,
    )
    print(f"queued again {time.monotonic() - killed:.1f} s after the kills")
    row = replicas.row(VideoRecord, begun)
    assert (row.status, row.attempt, row.interruptions) == ("queued", 2, 1)
    until(
        lambda: [one["leads"] for one in listed(api).values()] == [True],
        "nobody leads",
        SERVER_TIMEOUT_S,
    )
    waiting = posted(api, "/v1/videos", QUICK)
    replicas.named["videos-1"].launch()
    for name in (begun, waiting):
        assert wait_for(api.client, f"/v1/videos/{name}")["status"] == "completed"
