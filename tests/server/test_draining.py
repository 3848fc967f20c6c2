"""A drain that the route begins: what has not begun goes back, and in the end the rest."""

from __future__ import annotations

import time
from typing import Any

import pytest

from server.jobs.dispatcher import LOOK_INTERVAL_S
from server.storage.held_jobs import HeldJobs
from server.storage.records import IN_PROGRESS, QUEUED, EncoderRecord, VideoRecord
from tests.server.conftest import MakeClient
from tests.server.help import SERVER_TIMEOUT_S, Client, assert_error, device_held
from tests.server.replicas import until

VIDEO = {"prompt": "pogo in a meadow", "frames": 1}
ENCODER = {"id": "slow", "concept": "pogo", "kind": "character", "settings": {"steps": 1000}}


def row(client: Client, name: str) -> Any:
    return client.runtime.records.get(VideoRecord, VideoRecord.id == name)


def drain(client: Client) -> dict[str, Any]:
    [me] = client.get("/v1/admin/replicas").json()["data"]
    answer = client.post(f"/v1/admin/replicas/{me['id']}/drain")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_has_not_begun_is_given_back_at_once(make_client: MakeClient) -> None:
    client = make_client(stop_seconds=600)
    with device_held(client.runtime):
        name = client.post("/v1/videos", json=VIDEO).json()["id"]
        until(lambda: row(client, name).replica is not None, "nobody took it", SERVER_TIMEOUT_S)
        assert drain(client)["draining"]
        until(lambda: row(client, name).replica is None, "it was not given back", SERVER_TIMEOUT_S)
        given = row(client, name)
        assert (given.status, given.attempt, given.interruptions) == (QUEUED, 2, 0)
        assert not client.runtime.ready
        assert_error(client.get("/health"), 503, code="draining")
        later = client.post("/v1/videos", json=VIDEO).json()["id"]
    assert row(client, later).replica is None
    assert client.get(f"/v1/videos/{name}").json()["status"] == "queued"
    unknown = client.post(f"/v1/admin/replicas/{'0' * 32}/drain")
    assert_error(unknown, 404, code="not_found")


def test_what_is_begun_is_given_back_when_the_time_is_up(make_client: MakeClient) -> None:
    client = make_client(drain_seconds=0, stop_seconds=3.5)  # half a second to end
    long = {**VIDEO, "steps": 100, "frames": 16}
    names = [client.post("/v1/videos", json=long).json()["id"] for _ in range(20)]
    until(lambda: row(client, names[0]).status == IN_PROGRESS, "none is begun", SERVER_TIMEOUT_S)
    drain(client)
    until(
        lambda: (
            {row(client, name).replica for name in names if not row(client, name).completed_at}
            == {None}
        ),
        "some were not given back",
        SERVER_TIMEOUT_S,
    )
    left = [row(client, name) for name in names if not row(client, name).completed_at]
    assert left, "all were done before"
    assert {one.status for one in left} == {QUEUED}
    assert {one.interruptions for one in left} == {0}


def test_a_server_that_drains_looks_now_and_then_and_not_all_the_time(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(stop_seconds=600)
    looks: list[float] = []
    give_back = HeldJobs.give_back

    def counted(held: HeldJobs, *, begun: bool) -> None:
        looks.append(time.monotonic())
        give_back(held, begun=begun)

    with device_held(client.runtime):
        name = client.post("/v1/encoders", json=ENCODER).json()["id"]
        records = client.runtime.records
        until(
            lambda: records.all(EncoderRecord, EncoderRecord.status == IN_PROGRESS),
            "it is not begun",
            SERVER_TIMEOUT_S,
        )
        monkeypatch.setattr(HeldJobs, "give_back", counted)
        drain(client)
        time.sleep(LOOK_INTERVAL_S + 1)
        assert 0 < len(looks) < 6
        client.delete(f"/v1/encoders/{name}")
