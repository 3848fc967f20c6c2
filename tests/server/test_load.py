"""The load of a server, as its operator sees it."""

from __future__ import annotations

from pathlib import Path

from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, device_held, publish, write_keys


def test_what_waits_is_counted_by_key_and_kind(client: Client) -> None:
    before = client.get("/v1/load").json()
    with device_held(client.runtime):
        for _ in range(3):
            client.post("/v1/videos", json={"prompt": "a star", "steps": 2, "frames": 2})
        [waiting] = client.get("/v1/load").json()["pending"]
    assert (waiting["key"], waiting["kind"]) == ("local", "video")
    assert waiting["queued"] + waiting["in_progress"] == 3
    after = client.get("/v1/load").json()
    assert after["device"]["busy_seconds"] > before["device"]["busy_seconds"]
    assert after["device"]["up_seconds"] > before["device"]["up_seconds"]
    assert after["process_bytes"] > 10_000_000


def test_resident_encoders_and_failures_are_named(client: Client) -> None:
    publish(client.runtime, "resident")
    client.post("/v1/videos/sync", json={"prompt": "a star", "steps": 2, "encoder": "resident"})
    found = client.get("/v1/load").json()
    [resident] = found["residents"]
    assert resident["id"] == "resident"
    assert resident["bytes"] == found["resident_bytes"] > 0
    body = {"prompt": "a star", "steps": 2, "deadline_after": 1}
    with device_held(client.runtime):
        video = client.post("/v1/videos", json=body).json()["id"]
        while client.get(f"/v1/videos/{video}").json()["status"] != "failed":
            pass
    failure = client.get("/v1/load").json()["failures"][0]
    assert (failure["id"], failure["kind"], failure["key"]) == (video, "video", "local")
    assert failure["code"] == "deadline_exceeded"
    assert "star" not in failure["message"]


def test_the_load_is_for_admins(make_client: MakeClient, tmp_path: Path) -> None:
    keys = write_keys(
        tmp_path / "keys.json", boss={"role": "admin"}, user={"role": "user", "encoders": ["*"]}
    )
    client = make_client(keys_file=keys)
    assert_error(client.get("/v1/load", headers=bearer("secret-user")), 403)
    assert client.get("/v1/load", headers=bearer("secret-boss")).status_code == 200
