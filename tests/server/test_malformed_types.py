"""Malformed content types, forms, paths and headers: 4xx in the API's shape, never 5xx."""

from __future__ import annotations

import encodings.aliases
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.server.conftest import MakeClient
from tests.server.help import Client, assert_error, publish

POSTS = ("/v1/videos", "/v1/videos/sync", "/generate", "/v1/encoders")
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na meadow\r\n'
    b'--x\r\nContent-Disposition: form-data; name="unknown"\r\n\r\n1\r\n--x--\r\n'
)
SETTINGS = hypothesis.settings(
    max_examples=50,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
HEADER = st.text(
    st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=40
)  # what HTTP lets a header hold
KIND = st.sampled_from(
    ["multipart/form-data", "application/x-www-form-urlencoded", "application/json", "", "a/b"]
)
CODECS = sorted({*encodings.aliases.aliases.values(), "undefined", "idna", "punycode"})


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> Client:
    client = make_client(max_queued_videos=1, max_queued_encoders=1)
    publish(client.runtime, "no-pogo")
    return client


def refused(client: Client, method: str, url: str, **sent: Any) -> int:
    """Send a request, assert that its refusal is the caller's fault, and return the status."""
    answer = client.request(method, url, **sent)
    assert answer.status_code < 500, (sent, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        assert_error(answer, answer.status_code)
    return answer.status_code


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json"])
def test_charsets_but_utf_8_are_refused(client: Client, path: str, kind: str) -> None:
    assert len(CODECS) > 80
    strange = [codec for codec in CODECS if codec not in ("utf_8", "ascii")]
    for codec in [*strange, "no-such", "\xe9", "'", "utf-8, utf-16"]:
        sent = {b"Content-Type": f"{kind}; charset={codec}".encode("latin-1")}
        answer = client.post(path, content=FORM, headers=sent)
        assert_error(answer, 415, code="unsupported_charset")
    twice = f"{kind}; charset=utf-8; charset=punycode"
    answer = client.post(path, content=FORM, headers={"Content-Type": twice})
    assert_error(answer, 415, code="unsupported_charset")


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8", "us-ascii"])
def test_utf_8_is_read(client: Client, charset: str) -> None:
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    answer = client.post("/v1/videos", content=FORM, headers={"Content-Type": kind})
    assert_error(answer, 400, code="unknown_field")


@SETTINGS
@hypothesis.given(path=st.sampled_from(POSTS), kind=KIND, more=HEADER, body=st.binary(max_size=80))
def test_any_content_type(client: Client, path: str, kind: str, more: str, body: bytes) -> None:
    sent = {"Content-Type": f"{kind}; {more}".encode("latin-1")}
    assert refused(client, "POST", path, content=body, headers=sent) in (400, 415)


@SETTINGS
@hypothesis.given(
    path=st.sampled_from(POSTS),
    disposition=st.one_of(
        HEADER, st.sampled_from(["form-data", 'form-data; name="prompt"', "name*=utf-7''+AA-"])
    ),
    kind=HEADER,
    content=st.binary(max_size=60),
    end=st.sampled_from([b"\r\n--x--\r\n", b"\r\n--x--", b"\r\n--x", b"", b"--x--\r\n\r\n--x"]),
)
def test_any_part_of_a_form(
    client: Client, path: str, disposition: str, kind: str, content: bytes, end: bytes
) -> None:
    head = f"Content-Disposition: {disposition}\r\nContent-Type: {kind}".encode("latin-1")
    body = FORM.removesuffix(b"--\r\n") + b"\r\n" + head + b"\r\n\r\n" + content + end
    sent = {"Content-Type": "multipart/form-data; boundary=x"}
    assert refused(client, "POST", path, content=body, headers=sent) == 400


@SETTINGS
@hypothesis.given(
    path=st.sampled_from(POSTS),
    field=st.sampled_from(["prompt", "negative_prompt", "model", "encoder", "size", "seed", "id"]),
    value=st.one_of(
        st.text(max_size=30),
        st.sampled_from(["\0", "a\0b", "\ud800", "\udfff\ud800", "\U0010ffff", "\u202e", "١٢"]),
        st.sampled_from([None, True, 1.5, -1, 2**70, [], [[None]], {}, {"a": [True]}]),
    ),
)
def test_any_value_of_a_field(client: Client, path: str, field: str, value: Any) -> None:
    body = json.dumps({"prompt": "a", "unknown": 1, field: value}).encode()
    sent = {"Content-Type": "application/json"}
    assert refused(client, "POST", path, content=body, headers=sent) in (400, 404)


@SETTINGS
@hypothesis.given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    form=st.sampled_from(
        [
            "/v1/videos/{}",
            "/v1/videos/{}/content",
            "/v1/encoders/{}/report",
            "/v1/aliases/{}",
            "/v1/models/{}",
            "/v1/videos?after={}",
            "/v1/videos?limit={}",
            "/v1/encoders?order={}",
            "/v1/encoders/no-pogo/report/{}",
            "/v1/encoders/no-pogo/report?format={}",
        ]
    ),
    odd=st.lists(
        st.sampled_from(
            [
                "%00",
                "%ff",
                "%ed%a0%80",
                "%F0%9F%92%A5",
                "..",
                "%2e%2e",
                "a",
                "%",
                "%zz",
                "%0d%0a",
                "%u0041",
                "+",
                "9" * 5000,
                "~",
                ":",
                "%5c",
            ]
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_path_and_query(client: Client, method: str, form: str, odd: list[str]) -> None:
    status = refused(client, method, form.format("".join(odd)))
    assert status < 400 or status in (400, 404, 405, 413, 414, 415)


@SETTINGS
@hypothesis.given(
    name=st.sampled_from(
        [
            "Range",
            "If-None-Match",
            "If-Modified-Since",
            "If-Range",
            "Idempotency-Key",
            "Accept",
            "X-Request-Id",
            "traceparent",
            "Authorization",
            "Cookie",
            "Origin",
        ]
    ),
    value=HEADER,
    path=st.sampled_from(["/v1/videos", "/v1/encoders/no-pogo", "/v1/models", "/openapi.json"]),
)
def test_any_header(client: Client, name: str, value: str, path: str) -> None:
    status = refused(client, "GET", path, headers={name.encode(): value.encode("latin-1")})
    assert status == 200 or (status == 403 and name == "Origin")


def test_a_text_with_nul_is_refused(client: Client) -> None:
    for field in ("prompt", "negative_prompt"):
        answer = client.post("/v1/videos", json={"prompt": "a", field: "a\0b"})
        assert_error(answer, 400, says="NUL")
        assert answer.json()["error"]["param"] == field


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 "])
def test_an_image_that_cannot_be_read_is_told_in_words(client: Client, content: bytes) -> None:
    form = {"concept": (None, "pogo"), "kind": (None, "character")}
    form |= {"settings[method]": (None, "ascent"), "images": ("a.png", content)}
    answer = client.post("/v1/encoders", files=form)
    assert_error(answer, 400, says="Image 1 cannot be read as PNG, JPEG or WebP")
    assert "0x" not in answer.text
    assert "<" not in answer.text
