"""Log lines: JSON that says which request it is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

from server import logs
from tests.server.help import Client, wait_for

QUICK = {"prompt": "pogo in a meadow", "steps": 2, "frames": 2, "seed": 1}


@pytest.fixture
def lines() -> Iterator[Any]:
    """Yield a function that parses the lines written so far."""
    rooms = [logging.getLogger(room) for room in logs.ROOMS]
    before = [(room.handlers, room.level, room.propagate) for room in rooms]
    logs.set_up()
    written = io.StringIO()
    for room in rooms:
        [handler] = room.handlers
        cast(Any, handler).setStream(written)

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in written.getvalue().splitlines()]

    yield read
    for room, (handlers, level, propagate) in zip(rooms, before, strict=True):
        room.handlers, room.propagate = handlers, propagate
        room.setLevel(level)


def test_a_jobs_line_names_the_request_that_asked_for_it(client: Client, lines: Any) -> None:
    asked = client.post("/v1/videos", json=QUICK)
    video = wait_for(client, f"/v1/videos/{asked.json()['id']}")
    assert video["status"] == "completed"
    said = lines()
    [answered] = [line for line in said if line.get("path") == "/v1/videos"]
    [ended] = [line for line in said if line["message"] == "job ended"]
    assert answered["request_id"] == ended["request_id"] == asked.headers["x-request-id"]
    assert (answered["method"], answered["status"], answered["caller"]) == ("POST", 200, "local")
    assert answered["seconds"] > 0
    assert (ended["kind"], ended["job"], ended["status"]) == ("video", video["id"], "completed")
    assert all({"time", "level", "logger"} <= set(line) for line in said)


def test_neither_secrets_nor_probes_are_written(client: Client, lines: Any) -> None:
    client.get("/health")
    client.get("/v1/models?api_key=secret-value", headers={"authorization": "Bearer secret-value"})
    client.get('/v1/videos/x%0A{"level":"forged"}')
    said = lines()
    assert [line["path"] for line in said][:1] == ["/v1/models"]
    assert "secret-value" not in json.dumps(said)
    assert not any(line["level"] == "forged" for line in said)
    assert len(said) == 2


def test_a_failure_says_what_went_wrong(
    client: Client, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("injected")

    monkeypatch.setattr("server.api.videos.parameters_of", fails)
    answer = client.post("/v1/videos", json=QUICK)
    assert answer.status_code == 500
    [line] = [line for line in lines() if line["level"] == "ERROR"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "builtins.ValueError: (its message is not logged" in line["exc_info"]
    assert "raise ValueError" in line["exc_info"]
