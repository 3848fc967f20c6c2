"""Following a job by its events: what a client without a loop of its own uses."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.server.help import Client, assert_error, device_held, publish

QUICK = {"prompt": "pogo in a meadow", "steps": 8, "frames": 4, "seed": 1}


def follow(client: Client, path: str) -> list[tuple[str, Any]]:
    """Names and data of all events until the server ends the stream."""
    with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    found: list[tuple[str, Any]] = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if lines:
            found.append((lines["event"], json.loads(lines.get("data", "null"))))
    return found


def test_a_video_tells_how_far_it_is_until_it_is_there(client: Client) -> None:
    video = client.post("/v1/videos", json={**QUICK, "steps": 60, "frames": 16}).json()
    told = follow(client, f"/v1/videos/{video['id']}/events")
    assert [name for name, _ in told] == [video["status"] for _, video in told]
    progress = [video["progress"] for _, video in told]
    assert progress == sorted(progress)
    assert len(set(progress)) > 3
    assert told[-1] == ("completed", client.get(f"/v1/videos/{video['id']}").json())
    assert follow(client, f"/v1/videos/{video['id']}/events") == told[-1:]


def test_an_encoder_tells_its_phases(client: Client) -> None:
    body = {
        "id": "no-followed",
        "concept": "pogo",
        "kind": "character",
        "settings": {"steps": 4},
        "gate": {"max_probes": 1, "min_base_rate": 0},
    }
    assert client.post("/v1/encoders", json=body).status_code == 200
    told = follow(client, "/v1/encoders/no-followed/events")
    assert told[-1] == ("published", client.get("/v1/encoders/no-followed").json())
    assert {encoder["phase"] for _, encoder in told} >= {"judging", "published"}


def test_a_job_that_is_deleted_says_so(client: Client) -> None:
    with device_held(client.runtime):
        video = client.post("/v1/videos", json=QUICK).json()
        delete = threading.Timer(0.5, client.delete, [f"/v1/videos/{video['id']}"])
        delete.start()
        told = follow(client, f"/v1/videos/{video['id']}/events")
    assert [name for name, _ in told] == ["queued", "deleted"]


def test_what_is_not_there_or_anothers_cannot_be_followed(client: Client) -> None:
    assert_error(client.get("/v1/videos/video_none/events"), 404)
    assert_error(client.get("/v1/encoders/no-such/events"), 404, code="encoder_not_found")
    publish(client.runtime, "no-imported")
    assert [name for name, _ in follow(client, "/v1/encoders/no-imported/events")] == ["published"]
