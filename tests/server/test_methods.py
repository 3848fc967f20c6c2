"""Methods of every route: HEAD where GET is, `Allow` complete, OPTIONS answered."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from server.api.app import ROUTES
from server.storage.deleted_video_rows import DeletedVideoRow
from server.storage.records import VideoRecord
from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, bearer, publish, settings_for, write_keys

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

NOT_THERE = {
    "/studio/{version}/{name:path}",
    "/v1/encoders/{encoder_id}/failure",
    "/v1/encoders/{encoder_id}/failure/{file}",
    "/v1/encoders/{encoder_id}/previews/{step}",
    "/v1/events",
}
"""Paths that have nothing at the names of `url_of`."""


def routes() -> list[APIRoute]:
    """Return the leaves of the app's routes."""
    return [r for module in ROUTES for r in module.router.routes if isinstance(r, APIRoute)]


def url_of(path: str, video_id: str) -> str:
    """Return a path whose parameters name things that exist."""
    names = {"encoder_id": "no-pogo", "name": "current", "video_id": video_id, "file": "x.mp4"}
    names |= {"encoder": "no-pogo", "model_id": "tiny:no-pogo", "tenant": "acme"}
    names |= {"step": "1", "replica_id": "0" * 32, "version": "1"}
    url = path.replace(":path", "").format(**names)
    return f"{url}?key=local&concept=pogo" if path.endswith("/forgetting") else url


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    client = make_client(deleted_record_retention_seconds=1000)
    publish(client.runtime, "no-pogo", report={"report.html": b"<p>", "x.mp4": b"clip"})
    assert client.put("/v1/aliases/current", json={"encoder": "no-pogo"}).is_success
    return client


@pytest.fixture(scope="module")
def video_id(client: Client) -> str:
    """Make a video, with the record that it would leave if it were deleted."""
    answer = client.post("/v1/videos/sync", json={"prompt": "a meadow"})
    assert answer.status_code == 200, answer.text
    name = answer.headers["x-video-id"]
    with client.runtime.database.writing() as session:
        video = session.query(VideoRecord).filter_by(id=name).one()
        session.add(DeletedVideoRow.of(video, int(time.time())))
    return name


def test_head_answers_as_get_does_without_a_body(client: Client, video_id: str) -> None:
    paths = {route.path for route in routes() if "GET" in (route.methods or ())}
    assert len(paths) >= 15
    for path in paths:
        url = url_of(path, video_id)
        got, head = client.get(url), client.head(url)
        assert got.status_code == head.status_code, url
        assert got.status_code == 200 or path in NOT_THERE, url
        assert head.content == b""
        assert head.headers["content-type"] == got.headers["content-type"]
        assert head.headers.get("etag") == got.headers.get("etag")


def test_a_method_that_a_path_does_not_have_gets_every_one_that_it_has(
    client: Client, video_id: str
) -> None:
    refused = 0
    for path, verb in itertools.product({route.path for route in routes()}, VERBS):
        url = url_of(path, video_id)
        matching = [route for route in routes() if route.path_regex.match(url.partition("?")[0])]
        known = {method for route in matching for method in route.methods or ()} | {"OPTIONS"}
        if verb in known - {"OPTIONS"}:
            continue
        answer = client.request(verb, url)
        assert set(answer.headers["allow"].split(", ")) >= known, (verb, path)
        if verb == "OPTIONS":
            assert (answer.status_code, answer.content) == (204, b"")
        else:
            refused += 1
            assert answer.status_code == 405
            if verb != "HEAD":
                assert_error(answer, 405, code="method_not_allowed", says=verb)
    assert refused > 50


def test_a_request_without_a_key_is_told_how_to_send_one(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", admin={"role": "admin"})
    client = Client(settings_for(tmp_path, tmp_path / "data", keys_file=keys))
    for key in (None, "wrong"):
        for verb in ("GET", "POST", "OPTIONS"):
            answer = client.request(verb, "/v1/videos", headers=bearer(key))
            assert_error(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
