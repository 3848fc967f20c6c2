"""Following a job by server-sent events, and waiting for it in one request."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future
from typing import Any

import httpx

from tests.server.help import Client, assert_error, bearer, device_held, publish
from video import clip

QUICK = {"prompt": "pogo in a meadow", "steps": 8, "frames": 4, "seed": 1}


def follow(
    client: Client | httpx.Client,
    path: str,
    key: str | None = None,
    *,
    heard: threading.Event | None = None,
) -> list[tuple[str, Any]]:
    """Return names and data of all events until the server ends the stream.

    Args:
        client: Who follows.
        path: The stream's.
        key: The key to send; the client's own if None.
        heard: Set when the first event has arrived.
    """
    with client.stream("GET", path, headers=bearer(key)) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = ""
        for piece in answer.iter_text():
            text += piece
            if heard is not None:
                heard.set()
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


def test_an_unknown_job_cannot_be_followed_and_an_imported_encoder_has_ended(
    client: Client,
) -> None:
    assert_error(client.get("/v1/videos/video_none/events"), 404)
    assert_error(client.get("/v1/encoders/no-such/events"), 404, code="encoder_not_found")
    publish(client.runtime, "no-imported")
    assert [name for name, _ in follow(client, "/v1/encoders/no-imported/events")] == ["published"]


def test_a_video_can_be_waited_for(client: Client) -> None:
    answer = client.post("/v1/videos/sync", json=QUICK)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["x-model"] == client.runtime.loaded.backbone.name
    assert 0 < float(answer.headers["x-inference-time-s"]) < 600
    video = answer.headers["x-video-id"]
    assert client.get(f"/v1/videos/{video}/content").content == answer.content
    assert clip.decode_mp4(answer.content).shape[0] == 4


def test_a_waiting_request_gets_the_error_of_a_refused_or_failed_video(client: Client) -> None:
    assert_error(client.post("/v1/videos/sync", json={"prompt": ""}), 400)
    publish(client.runtime, "no-more")
    with device_held(client.runtime):
        waiting = Future[Any]()

        def wait() -> None:
            waiting.set_result(client.post("/v1/videos/sync", json={**QUICK, "encoder": "no-more"}))

        threading.Thread(target=wait).start()
        while not client.get("/v1/videos").json()["data"][0]["model"].endswith(":no-more"):
            time.sleep(0.05)
        assert client.delete("/v1/encoders/no-more").status_code == 200
    assert_error(waiting.result(60), 404, code="encoder_not_found", says="failed")
