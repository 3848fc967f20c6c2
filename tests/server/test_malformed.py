"""Malformed requests: none hangs, none gets a 5xx, every error has the API's shape."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.faults.malformed import draw_from_document, fault_of
from benchmarks.faults.strange_requests import StrangeRequests
from tests.server.help import Client, publish

REQUESTS = 1500


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    client: Client = make_client(max_queued_videos=3, max_queued_encoders=1, max_frames=1)
    publish(client.runtime, "no-pogo")
    return client


def check(client: Client, request: dict[str, Any]) -> int:
    """Send a request, assert that a refusal has the API's shape, and return the status."""
    answer = client.request(**request)
    wrong = fault_of(request["method"], answer.status_code, answer.content)
    assert wrong is None, (wrong, request)
    return answer.status_code


def test_malformed_requests_are_refused_and_nothing_breaks(client: Client) -> None:
    requests = StrangeRequests(20260101, client.get("/openapi.json").json())
    statuses = Counter(check(client, requests.draw().arguments()) for _ in range(REQUESTS))
    assert {400, 404, 405, 415} <= set(statuses), statuses
    proper = client.post("/v1/videos", json={"prompt": "a", "steps": 1, "frames": 1})
    assert proper.status_code == 200, proper.text
    ids = [v["id"] for v in client.get("/v1/videos", params={"limit": 100}).json()["data"]]
    assert proper.json()["id"] in ids
    for video in ids:
        assert client.delete(f"/v1/videos/{video}").status_code == 200
    assert client.get("/health").json() == {"status": "ready"}


def test_schemathesis_finds_no_server_error(client: Client) -> None:
    document = client.get("/openapi.json").json()
    statuses: Counter[int] = Counter()

    def send(request: dict[str, Any]) -> None:
        statuses[check(client, request)] += 1

    assert draw_from_document(document, 15, send) >= 16
    assert statuses.total() > 100


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error": {"message": "a", "type": "b", "param": null, "code": null}}'),
        (404, b'{"detail": "Not Found"}'),
        (404, b'{"error": {"message": "", "type": "b", "param": null, "code": null}}'),
        (400, b"<html>"),
        (400, b"[]"),
    ],
)
def test_what_is_wrong_is_noticed(status: int, body: bytes) -> None:
    assert fault_of("GET", status, body) is not None
