"""Requests to a server without keys: from this machine, and from no foreign web page or proxy."""

from __future__ import annotations

from asyncio import run
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from server.auth.guard import Guard, caller_of
from server.auth.live_keys import LiveKeys
from server.auth.local_requests import is_loopback_host
from server.auth.proxies import TrustedProxies, forwarded_of
from server.settings import Settings
from tests.server.help import Client, assert_error

PROXIES = Settings.model_validate({"trusted_proxies": "127.0.0.9, 10.0.0.0/8"}).trusted_proxies
ALLOWED = "https://app.example"


async def says_who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the caller, and with where the request came from."""
    found = forwarded_of(scope)
    told = {"caller": caller_of(Request(scope)).id, **vars(found)}
    await JSONResponse(told)(scope, receive, send)


def guarded(peer: str = "127.0.0.1", url: str = "http://127.0.0.1:3000") -> TestClient:
    guard = Guard(
        says_who,
        keys=LiveKeys(None, list),
        max_body_bytes=1000,
        observe=lambda *_: None,
        proxies=TrustedProxies(PROXIES),
        allowed_origins=[ALLOWED],
    )
    return TestClient(guard, base_url=url, client=(peer, 50000))


def asked(headers: Mapping[str, str] | list[tuple[str, str]], peer: str = "127.0.0.1") -> Any:
    return guarded(peer).post("/v1/videos", headers=headers)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:3000", "LocalHost:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:9"],
)
def test_a_loopback_name_is_answered(host: str) -> None:
    assert is_loopback_host(host)
    answer = asked({"host": host})
    assert answer.status_code == 200
    assert answer.json()["caller"] == "local"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "evil.localhost",
        "localhost.",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0.0.0.0",
        "192.0.2.1",
        "[::]",
        "[::1",
        "[::1]x",
        "[::ffff:127.0.0.1]",
        "::1",
        "localhost:",
        "localhost:x",
        "localhost:80:80",
        "localhost evil.example",
        "",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    assert_error(asked({"host": host}), 403, code="host_not_allowed", says="palimpsest keys")


def test_no_host_and_two_hosts_are_refused() -> None:
    for hosts in ([], ["localhost", "localhost"], ["localhost", "evil.example"]):
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/livez",
            "headers": [(b"host", host.encode()) for host in hosts],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 3000),
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        run(guarded().app(scope, receive, send))
        assert sent[0]["status"] == 403, hosts


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:3001"},
        {"origin": "http://127.0.0.1"},
        {"origin": "https://127.0.0.1:3000"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1:3000.evil.example"},
        {"origin": "http://x@127.0.0.1:3000"},
        {"origin": "http://127.0.0.1:3000, https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "Cross-Site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "whatever"},
        {"sec-fetch-site": ""},
        {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    ],
)
def test_a_foreign_page_is_refused(headers: dict[str, str]) -> None:
    assert_error(asked(headers), 403, code="origin_not_allowed", says="PALIMPSEST_CORS_ORIGINS")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"},
        {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"},
        {"origin": ALLOWED, "sec-fetch-site": "cross-site"},
    ],
)
def test_the_servers_own_pages_and_allowed_ones_are_answered(headers: dict[str, str]) -> None:
    assert asked(headers).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Anything",
        "X_Forwarded_For",
    ],
)
def test_a_proxy_that_is_not_trusted_is_refused(name: str) -> None:
    assert_error(
        asked({name: "127.0.0.1"}), 403, code="proxy_not_trusted", says="PALIMPSEST_TRUSTED_PROXIES"
    )


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("192.0.2.7", 403),
        ("127.0.0.1, 192.0.2.7", 403),
        ("192.0.2.7, 127.0.0.1", 200),
        ("192.0.2.7, 127.0.0.9", 403),
        ("unknown", 403),
        ("", 403),
        ("127.0.0.1, ", 403),
    ],
)
def test_a_trusted_proxys_client_has_to_be_on_loopback(value: str, status: int) -> None:
    answer = asked({"x-forwarded-for": value}, peer="127.0.0.9")
    assert answer.status_code == status
    if status == 403:
        assert_error(answer, 403, code="loopback_only")


def test_a_trusted_proxy_that_names_no_client_is_refused() -> None:
    for headers in ({"x-real-ip": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"}, {"via": "1.1 p"}):
        assert_error(asked(headers, peer="127.0.0.9"), 403, code="loopback_only")


def test_every_path_and_websockets_are_guarded(client: Client) -> None:
    foreign = {"origin": "https://evil.example"}
    for path in ("/", "/docs", "/livez", "/metrics", "/openapi.json", "/static_content/x", "/nope"):
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            answer = client.request(method, path, headers=foreign)
            assert_error(answer, 403, code="origin_not_allowed")
        assert_error(client.get(path, headers={"host": "evil.example"}), 403)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/videos"):
        pass


def test_only_a_trusted_proxys_headers_are_believed() -> None:
    def read(peer: str, *headers: tuple[str, str]) -> Any:
        raw = [(name.encode(), value.encode()) for name, value in headers]
        scope = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": raw}
        TrustedProxies(PROXIES).read(scope)
        return forwarded_of(scope)

    headers = (
        ("x-forwarded-for", "198.51.100.1, 192.0.2.7:4711"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "video.example:8443"),
        ("x-forwarded-prefix", "/video/"),
    )
    trusted = read("10.0.0.1", *headers)
    assert (trusted.client, trusted.proto) == ("192.0.2.7", "https")
    assert (trusted.host, trusted.prefix) == ("video.example:8443", "/video")
    stranger = read("192.0.2.9", *headers)
    assert (stranger.client, stranger.proto) == ("192.0.2.9", "http")
    assert (stranger.host, stranger.prefix, stranger.by_proxy) == (None, "", False)
    for prefix in ("//evil.example", "/a/../b", "/a?b", "https://evil.example", "a", "/a\\b"):
        assert read("10.0.0.1", ("x-forwarded-prefix", prefix)).prefix == ""
    for host in ("evil.example/x", "a b", "user@host", "<x>"):
        assert read("10.0.0.1", ("x-forwarded-host", host)).host is None
    assert read("10.0.0.1", ("x-forwarded-proto", "javascript")).proto == "http"
