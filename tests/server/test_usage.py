"""`/v1/usage`, limits over HTTP, and metrics by key."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from server.jobs.housekeeping import sweep
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, device_held, wait_for, write_keys

QUICK = {"prompt": "pogo in a meadow", "steps": 2, "frames": 2, "seed": 1}
USER: dict[str, Any] = {"role": "user", "encoders": ["base"]}
ACME, SMALL, BOSS = (bearer(f"secret-{name}") for name in ("acme", "small", "boss"))


@pytest.fixture(scope="module")
def served(make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        acme=USER,
        small={**USER, "limits": {"queued": 2, "requests_per_minute": 6, "in_flight": 1}},
        boss={"role": "admin", "limits": {"encoders_per_day": 0}},
    )
    return make_client(keys_file=keys, videos_in_flight=8, key_queued=40)


def usage(client: Client, key: dict[str, str], query: str = "") -> dict[str, Any]:
    answer = client.get(f"/v1/usage{query}", headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def metric(client: Client, name: str, **labels: str) -> float:
    lines = client.get("/metrics", headers=BOSS).text.splitlines()
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    found = [line for line in lines if line.startswith(f"{name}{{")]
    return sum(float(line.split()[-1]) for line in found if all(one in line for one in wanted))


def make(client: Client, key: dict[str, str], **fields: Any) -> str:
    answer = client.post("/v1/videos", json={**QUICK, **fields}, headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def test_limits_and_usage_are_shown_and_hold(served: Client) -> None:
    nothing = usage(served, SMALL)
    assert (nothing["id"], nothing["object"], nothing["days"]) == ("small", "usage", [])
    assert set(nothing["used"].values()) == {0}
    limits = nothing["limits"]
    assert (limits["queued"], limits["requests_per_minute"], limits["in_flight"]) == (2, 6, 1)
    assert limits["stored_bytes"] == served.runtime.settings.key_stored_bytes
    with device_held(served.runtime):
        videos = [make(served, SMALL) for _ in range(2)]
        until = time.monotonic() + 30
        while (used := usage(served, SMALL)["used"])["in_flight"] != 1:
            assert time.monotonic() < until, used
        assert used["queued"] == 2
        assert used["requests_per_minute"] <= 2  # a minute may have ended
        assert metric(served, "palimpsest_key_jobs", key="small", kind="video") == 2
        assert metric(served, "palimpsest_key_in_flight", key="small", kind="video") == 1
        refused = served.post("/v1/videos", json=QUICK, headers=SMALL)
        assert_error(refused, 429, code="quota_exceeded", says="'queued'")
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert refused.json()["error"]["param"] == "queued"
        assert int(refused.headers["retry-after"]) > 0
        assert metric(served, "palimpsest_key_refused_total", key="small", limit="queued") == 1
        make(served, ACME)
    for video in videos:
        assert wait_for(served, f"/v1/videos/{video}", key="secret-small")["status"] == "completed"
    stored = usage(served, SMALL)
    assert stored["used"]["queued"] == 0
    assert stored["used"]["stored_bytes"] > 0
    [today] = stored["days"]
    assert (today["requests"], today["videos"], today["encoders"]) == (3, 2, 0)
    assert 0 < today["device_seconds"] < 60
    seconds = metric(served, "palimpsest_key_device_seconds_total", key="small", kind="video")
    assert seconds == pytest.approx(today["device_seconds"], abs=0.01)
    ended = {"key": "small", "kind": "video", "status": "completed"}
    assert metric(served, "palimpsest_key_jobs_ended_total", **ended) == 2


def test_changes_count_and_reads_do_not(served: Client) -> None:
    """Use up the minute of `small`; it may end in between, so more are sent than it has."""
    answers = [
        served.delete("/v1/videos/video_that_is_not_there", headers=SMALL) for _ in range(14)
    ]
    assert {answer.status_code for answer in answers} == {404, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert_error(refused, 429, code="rate_limit_exceeded", says="6")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    for path in ("/v1/videos", "/v1/usage", "/v1/models", "/v1/encoders"):
        assert served.get(path, headers=SMALL).status_code == 200
    assert served.delete("/v1/videos/not_there", headers=ACME).status_code == 404
    assert metric(served, "palimpsest_key_refused_total", limit="requests_per_minute") >= 1


def test_an_admin_sees_every_key_and_others_their_own(served: Client) -> None:
    make(served, ACME)
    assert usage(served, BOSS, "?key=acme")["days"][0]["videos"] >= 1
    assert usage(served, ACME, "?key=acme")["id"] == "acme"
    assert_error(served.get("/v1/usage?key=small", headers=ACME), 403, code="forbidden")
    assert_error(served.get("/v1/usage/keys", headers=ACME), 403, code="forbidden")
    assert_error(served.get("/v1/usage?key=nobody", headers=BOSS), 404, says="'nobody'")
    assert_error(served.get("/v1/usage?days=0", headers=BOSS), 400)
    assert_error(served.get("/v1/usage"), 401)
    listed = served.get("/v1/usage/keys?days=2", headers=BOSS).json()["data"]
    assert [found["id"] for found in listed] == ["acme", "boss", "small"]
    assert listed[2]["limits"]["queued"] == 2
    body = {"id": "no-pogo", "concept": "pogo", "kind": "character"}
    refused = served.post("/v1/encoders", json=body, headers=BOSS)
    assert_error(refused, 429, code="quota_exceeded", says="may ask for 0 a day")
    assert served.runtime.jobs.context.workspace_ids() == []


def test_many_videos_of_one_key_delay_another_by_about_one_clip(
    served: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "server.jobs.tracking"):
        with device_held(served.runtime):
            many = [make(served, ACME, steps=8) for _ in range(20)]
            one = make(served, BOSS, steps=8)
        wait_for(served, f"/v1/videos/{one}", key="secret-boss")
    ended = [record.__dict__.get("job") for record in caplog.records]
    before = [job for job in ended[: ended.index(one)] if job in many]
    assert len(before) <= 2, "it waited for more than a clip and the one begun beside it"
    for video in many:
        served.delete(f"/v1/videos/{video}", headers=ACME)


def test_a_deleted_video_has_used_the_device_too(served: Client) -> None:
    before = usage(served, ACME)["days"][0]["device_seconds"]
    video = make(served, ACME, steps=100, frames=8)
    until = time.monotonic() + 60
    while served.get(f"/v1/videos/{video}", headers=ACME).json()["progress"] < 10:
        assert time.monotonic() < until
        time.sleep(0.01)
    served.delete(f"/v1/videos/{video}", headers=ACME)
    while usage(served, ACME)["days"][0]["device_seconds"] <= before:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_without_keys_only_the_servers_own_limits_hold(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(key_queued=0, key_requests_per_minute=0)
    video = client.post("/v1/videos", json=QUICK).json()["id"]
    wait_for(client, f"/v1/videos/{video}")
    found = client.get("/v1/usage").json()
    assert found["id"] == "local"
    assert set(found["limits"].values()) == {None}
    assert found["days"][0]["videos"] == 1


def test_room_is_made_from_the_key_that_stores_most(
    make_client: MakeClient, tmp_path: Path
) -> None:
    keys = write_keys(tmp_path / "keys.json", acme=USER, small=USER)
    first = make_client(keys_file=keys)
    old = make(first, SMALL)
    videos = [make(first, ACME) for _ in range(3)]
    for key, names in (("small", [old]), ("acme", videos)):
        for name in names:
            wait_for(first, f"/v1/videos/{name}", key=f"secret-{key}")
    size = usage(first, SMALL)["used"]["stored_bytes"]
    data = first.runtime.settings.data_dir
    client = make_client(keys_file=keys, data_dir=data, max_stored_bytes=2 * size + size // 2)
    sweep(client.runtime.jobs.context, now=time.time())
    left = [
        video["id"]
        for key in (SMALL, ACME)
        for video in client.get("/v1/videos", headers=key).json()["data"]
    ]
    assert left == [old, videos[-1]]


def test_verifying_a_file_counts(make_client: MakeClient, tmp_path: Path) -> None:
    limited = {**USER, "limits": {"requests_per_minute": 1}}
    client = make_client(keys_file=write_keys(tmp_path / "keys.json", acme=limited))
    answers = [  # a minute may end in between
        client.post("/v1/verify", files={"file": b"no clip"}, headers=ACME) for _ in range(3)
    ]
    assert answers[0].status_code == 200
    assert_error(answers[-1], 429, code="rate_limit_exceeded", says="verify")
