"""The guard: addresses, the error shape, public pages and metrics."""

from __future__ import annotations

import json
import re

import pytest
from starlette.testclient import TestClient

from server.auth.guard import as_error_body
from tests.server.help import Client, assert_error


@pytest.mark.parametrize("peer", ["192.0.2.7", "testclient", "::2"])
def test_without_keys_only_loopback_is_answered(client: Client, peer: str) -> None:
    stranger = TestClient(client.app, base_url="http://127.0.0.1", client=(peer, 1))
    assert_error(stranger.get("/v1/videos"), 403, code="loopback_only")
    assert_error(stranger.get("/"), 403, code="loopback_only")
    outside = TestClient(client.app, base_url="http://192.0.2.1", client=("127.0.0.1", 1))
    assert_error(outside.get("/v1/videos"), 403, code="loopback_only")


def test_every_answer_has_a_request_id_of_its_own(client: Client) -> None:
    answers = [client.get("/health"), client.get("/nope"), client.head("/v1/videos/x/content")]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 3
    assert all(re.fullmatch(r"req_[0-9a-f]{32}", request_id) for request_id in ids)


def test_errors_of_the_router_and_of_bentoml_get_the_api_shape(client: Client) -> None:
    assert_error(client.get("/v1/nope"), 404, code="not_found")
    assert_error(client.get("/v1/videos/"), 404, code="not_found")
    assert_error(client.patch("/v1/videos"), 405, code="method_not_allowed")
    for body in (b"", b"plain", b'{"error": "text"}', b'[{"error": "text"}]', b"\xff", b"[]", b"3"):
        error = json.loads(as_error_body(418, body))["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]


def test_an_uncaught_exception_is_a_500_without_its_details(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("internal detail")

    monkeypatch.setattr(client.runtime.records, "page", broken)
    answer = client.get("/v1/videos")
    assert_error(answer, 500, code="internal_error")
    assert "detail" not in answer.text


def test_pages_load_nothing_from_elsewhere(client: Client) -> None:
    for path in ("/", "/docs"):
        page = client.get(path, headers={"Host": '127.0.0.1"><script>'})
        assert page.status_code in (200, 400, 403), page.text
        assert '<script>">' not in page.text
        text = client.get(path).text
        links = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", text)
        assert links, path
        for link in links:
            assert link.startswith(("/", "data:", "#")), link
    assert client.get("/openapi.json").json()["info"]["title"] == "Palimpsest"


def test_metrics_are_labelled_by_route_and_never_by_id(client: Client) -> None:
    for number in range(50):
        client.get(f"/v1/videos/video_{number}")
        client.get(f"/nothing/{number}")
    text = client.get("/metrics").text
    assert 'route="/v1/videos/{video_id}",status="404"} 50.0' in text
    assert 'route="unmatched"' in text
    assert "video_1" not in text
    assert "/nothing" not in text
    for name in ("palimpsest_jobs{", "palimpsest_ready 1.0", "palimpsest_resident_bytes"):
        assert name in text
