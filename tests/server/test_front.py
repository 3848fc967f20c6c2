"""In front of the routes: a path of a proxy's, pages of other origins, ids of requests."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from server.auth.proxies import TrustedProxies
from server.auth.sub_path import SubPath
from server.logs import ROOMS, TRACE_ID
from tests.server.help import Client, assert_error, bearer, settings_for, write_keys

ORIGIN = "https://app.example.org"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys.json", admin={"role": "admin"})


def links_of(page: str) -> list[str]:
    """Return the addresses that a page names, of this server."""
    return re.findall(r"(?:href|src)=\"(/[^\"]*)\"|url: '([^']*)'", page)


@pytest.mark.parametrize("stripped", [True, False])
@pytest.mark.parametrize("said_by", ["setting", "proxy"])
def test_everything_is_right_below_a_proxys_path(
    tmp_path: Path, said_by: str, stripped: bool
) -> None:
    changes = {"root_path": "/v1"} if said_by == "setting" else {"trusted_proxies": "127.0.0.1"}
    said = {"X-Forwarded-Prefix": "/v1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "host"}
    headers = {} if said_by == "setting" else {**said, "X-Forwarded-For": "127.0.0.1"}
    client = Client(settings_for(tmp_path, tmp_path, **changes))
    at = "" if stripped else "/v1"
    home = client.get(f"{at}/", headers=headers).text
    address = "http://127.0.0.1/v1" if said_by == "setting" else "https://host/v1"
    assert home.count(f"curl {address}/v1/") == 3
    assert "curl http" in home
    links = [link for link, _ in links_of(home)]
    assert len(links) > 3
    assert all(link.startswith(("/v1/", "#")) for link in links)
    docs = client.get(f"{at}/docs", headers=headers).text
    addresses = [one or other for one, other in links_of(docs)]
    assert {"/v1/openapi.json", "/v1/static_content/swagger-ui.css"} <= set(addresses)
    document = client.get(f"{at}/openapi.json", headers=headers).json()
    assert document["servers"] == [{"url": "/v1"}]
    assert_error(client.get(f"{at}/v1/videos/x/y/z", headers=headers), 404)


def test_a_prefix_of_anybody_is_not_believed(tmp_path: Path, keys_file: Path) -> None:
    client = Client(settings_for(tmp_path, tmp_path / "data", keys_file=keys_file))
    for prefix in ("/evil", "//evil.example", "https://evil.example"):
        sent = {"X-Forwarded-Prefix": prefix, "X-Forwarded-Host": "evil.example"}
        assert "evil" not in client.get("/", headers=sent).text
        assert "evil" not in client.get("/docs", headers=sent).text


def test_redirects_lead_below_the_path_and_to_no_other_host() -> None:
    places = {"/a/": "http://inside:3000/a?b=c", "//evil.example/": "http://h//evil.example"}

    async def app(scope, receive, send) -> None:  # pyright: ignore
        location = places[scope["path"]].encode()
        start = {"type": "http.response.start", "status": 307, "headers": [(b"location", location)]}
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    for prefix in ("", "/video"):
        client = TestClient(
            SubPath(app, root_path=prefix, proxies=TrustedProxies()),
            base_url="http://inside:3000",
            follow_redirects=False,
        )
        assert client.get("/a/").headers["location"] == f"{prefix}/a?b=c"
        found = client.get("http://inside:3000//evil.example/").headers["location"]
        assert found == f"{prefix}/evil.example"


@pytest.fixture
def shared(tmp_path: Path, keys_file: Path) -> Client:
    """Return a client of a server whose API the pages of an origin may call."""
    settings = settings_for(tmp_path, tmp_path / "data", keys_file=keys_file, cors_origins=ORIGIN)
    return Client(settings)


def test_a_page_of_a_named_origin_may_call_the_api(shared: Client) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    preflight = shared.options("/v1/videos", headers=asked)  # without a key: browsers send none
    assert preflight.status_code == 200, preflight.text
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    for key, status in (("secret-admin", 400), (None, 401)):  # errors can be read, too
        answer = shared.post("/v1/videos", headers={"Origin": ORIGIN, **bearer(key)})
        assert_error(answer, status)
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = answer.headers["access-control-expose-headers"].lower()
        for name in ("x-request-id", "openai-poll-after-ms", "content-disposition", "retry-after"):
            assert name in exposed


def test_pages_of_other_origins_may_not(shared: Client, tmp_path: Path, keys_file: Path) -> None:
    closed = Client(settings_for(tmp_path, tmp_path / "other", keys_file=keys_file))
    for client, origin in ((shared, "https://evil.example"), (closed, ORIGIN)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert (
            "access-control-allow-origin" not in client.options("/v1/videos", headers=asked).headers
        )
        answer = client.get("/v1/videos", headers={"Origin": origin, **bearer("secret-admin")})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["app.example.org", "https://a.example/path", "ftp://x", "a b"])
def test_what_is_no_origin_is_refused_at_the_start(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        settings_for(tmp_path, tmp_path, cors_origins=origin)


def test_a_callers_request_id_is_kept_if_it_is_sane(tmp_path: Path) -> None:
    client = Client(settings_for(tmp_path, tmp_path))
    for sane in ("a", "my-request_1.2", "x" * 128):
        answer = client.get("/openapi.json", headers={"X-Request-Id": sane})
        assert answer.headers["x-request-id"] == sane
    ids: set[str] = set()
    for strange in ("", "x" * 129, "a b", 'a"b', "a/b", "a{b}", "\xe9", "a,b"):
        answer = client.get("/openapi.json", headers={b"X-Request-Id": strange.encode("latin-1")})
        ids.add(answer.headers["x-request-id"])
    assert len(ids) == 8
    assert all(re.fullmatch(r"req_[0-9a-f]{32}", one) for one in ids)


@pytest.fixture
def traces() -> Generator[list[str | None]]:
    """Yield the trace ids at the log lines that are written meanwhile."""
    seen: list[str | None] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "answered":
                seen.append(TRACE_ID.get())

    handler = Handler()
    logger = logging.getLogger("server.auth.guard")
    for room in ROOMS:
        logging.getLogger(room).setLevel(logging.INFO)
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)


def test_a_trace_goes_on(tmp_path: Path, traces: list[str | None]) -> None:
    client = Client(settings_for(tmp_path, tmp_path))
    answer = client.get("/openapi.json", headers={"traceparent": PARENT})
    version, trace, span, flags = answer.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert re.fullmatch(r"[0-9a-f]{16}", span)
    assert span not in PARENT
    later = f"01-{TRACE}-00f067aa0ba902b7-00-more"
    assert TRACE in client.get("/docs", headers={"traceparent": later}).headers["traceparent"]
    strange = [f"ff-{TRACE}-00f067aa0ba902b7-01", PARENT.upper(), PARENT.replace("00f", "0")]
    strange += [f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", "", "x"]
    for header in strange:
        assert "traceparent" not in client.get("/", headers={"traceparent": header}).headers
    assert traces == [TRACE, TRACE, *[None] * len(strange)]
