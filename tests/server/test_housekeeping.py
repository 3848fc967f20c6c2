"""Housekeeping: no data grows without bound, and nothing is removed early."""

from __future__ import annotations

import time
from typing import Any

import pytest
from dbos import DBOS

from server.jobs import housekeeping
from server.jobs.housekeeping import WORKFLOWS_KEPT_S, sweep
from server.jobs.workflows import Workflows
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, device_held, wait_for
from tests.server.stored_help import StoredFolder

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 2, "seed": 1}


def made(client: Client, **fields: Any) -> dict[str, Any]:
    video = client.post("/v1/videos", json={**QUICK, **fields}).json()
    return wait_for(client, f"/v1/videos/{video['id']}")


def left(client: Client) -> set[str]:
    return {video["id"] for video in client.get("/v1/videos?limit=100").json()["data"]}


def folders(client: Client) -> set[str]:
    return set(client.runtime.files.ids())


def test_an_expired_video_is_removed(make_client: MakeClient) -> None:
    client = make_client(video_lifetime_seconds=1000, max_video_lifetime_seconds=2000)
    usual, longer = made(client), made(client, expires_after=2000)
    assert usual["expires_at"] == usual["completed_at"] + 1000
    assert longer["expires_at"] == longer["completed_at"] + 2000
    with device_held(client.runtime):
        waiting = client.post("/v1/videos", json=QUICK).json()
        assert waiting["expires_at"] is None
        sweep(client.runtime.jobs.context, now=usual["expires_at"] - 1)
        assert left(client) == {usual["id"], longer["id"], waiting["id"]}
        sweep(client.runtime.jobs.context, now=longer["expires_at"] - 1)
        assert left(client) == {longer["id"], waiting["id"]}
        assert folders(client) == {longer["id"]}
        assert_error(client.get(f"/v1/videos/{usual['id']}/content"), 404)
    assert wait_for(client, f"/v1/videos/{waiting['id']}")["status"] == "completed"
    for seconds in (0, 2001, True, "soon"):
        answer = client.post("/v1/videos", json={**QUICK, "expires_after": seconds})
        assert_error(answer, 400)
        assert answer.json()["error"]["param"] == "expires_after"


def test_a_video_that_waits_past_its_deadline_fails_before_its_turn(
    make_client: MakeClient,
) -> None:
    client = make_client(videos_in_flight=1)
    with device_held(client.runtime):
        first = client.post("/v1/videos", json=QUICK).json()
        late = client.post("/v1/videos", json={**QUICK, "deadline_after": 5}).json()
        soon = client.post("/v1/videos", json={**QUICK, "deadline_after": 500}).json()
        sweep(client.runtime.jobs.context, now=time.time() + 6)
        failed = client.get(f"/v1/videos/{late['id']}").json()
        assert (failed["status"], failed["error"]["code"]) == ("failed", "deadline_exceeded")
        assert client.get(f"/v1/videos/{first['id']}").json()["status"] == "queued"
    for video in (first, soon):
        assert wait_for(client, f"/v1/videos/{video['id']}")["status"] == "completed"
    assert client.get(f"/v1/videos/{late['id']}").json() == failed


def test_the_oldest_videos_are_removed_when_the_storage_is_full(make_client: MakeClient) -> None:
    client = make_client(max_stored_bytes=1)
    first = made(client)
    files = StoredFolder(client.runtime, "videos", first["id"])
    size = sum(len(files.read(name)) for name in files.names())
    sweep(client.runtime.jobs.context, now=time.time())
    assert left(client) == folders(client) == set()
    client = make_client(max_stored_bytes=2 * size + size // 2)
    videos = [made(client)["id"] for _ in range(4)]
    sweep(client.runtime.jobs.context, now=time.time())
    assert left(client) == folders(client) == set(videos[2:])


def test_a_failed_encoder_job_is_removed_in_time(make_client: MakeClient) -> None:
    client = make_client(video_lifetime_seconds=1000, min_forget_rate=1.0, min_base_rate=1.0)
    body = {"id": "no-pogo", "concept": "pogo", "kind": "character", "settings": {"steps": 1}}
    assert client.post("/v1/encoders", json=body).status_code == 200
    failed = wait_for(client, "/v1/encoders/no-pogo")
    assert failed["status"] == "failed"
    sweep(client.runtime.jobs.context, now=failed["completed_at"] + 999)
    assert client.get("/v1/encoders/no-pogo").status_code == 200
    sweep(client.runtime.jobs.context, now=failed["completed_at"] + 1000)
    assert_error(client.get("/v1/encoders/no-pogo"), 404, code="encoder_not_found")


def test_ended_workflows_are_deleted(make_client: MakeClient) -> None:
    client = make_client()
    video = made(client)
    with device_held(client.runtime):
        client.post("/v1/videos", json=QUICK)
        until = time.monotonic() + 60
        while {flow.status for flow in DBOS.list_workflows()} != {"SUCCESS", "PENDING"}:
            assert time.monotonic() < until
        Workflows.delete_ended(time.time() - WORKFLOWS_KEPT_S)
        assert len(DBOS.list_workflows()) == 2
        Workflows.delete_ended(time.time() + 100)
        assert [flow.status for flow in DBOS.list_workflows()] == ["PENDING"]
    assert client.get(f"/v1/videos/{video['id']}").json()["status"] == "completed"


def test_a_sweep_that_fails_is_tried_again(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_INTERVAL_S", 0.02)
    times: list[float] = []

    def failing(context: object, now: float) -> None:
        times.append(now)
        raise OSError("away")

    monkeypatch.setattr(housekeeping, "sweep", failing)
    make_client()
    until = time.monotonic() + 30
    while len(times) < 3:
        assert time.monotonic() < until
        time.sleep(0.02)
