"""Malformed requests: none hangs, none gets a 5xx, every error has the API's shape."""

from __future__ import annotations

import json
import random
from typing import Any

import hypothesis
import pytest
import schemathesis
from starlette.testclient import TestClient

from tests.server.help import Client, publish

REQUESTS = 1500
STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**70,
    -(2**70),
    1e308,
    0.1,
    "",
    " ",
    "a",
    "base",
    "no-pogo",
    "tiny:no-pogo",
    "../../etc/passwd",
    "a\x00b",
    "💥" * 300,
    "\u202e",
    "'; drop table videos; --",
    "NaN",
    "1e999",
    "9" * 5000,
    "0x0",
    "64x64",
    "1x99999",
    [],
    [[]],
    ["a"] * 300,
    {},
    {"a": {"b": []}},
    {"steps": None},
    {"layers": ["("]},
    {"layers": "*"},
    {"retain": [1]},
    {"learning_rate": -1},
]
# fmt: off
FIELDS = [
    "prompt",
    "model",
    "encoder",
    "negative_prompt",
    "seed",
    "steps",
    "num_inference_steps",
    "guidance",
    "guidance_scale",
    "frames",
    "num_frames",
    "fps",
    "seconds",
    "size",
    "input_reference",
    "id",
    "concept",
    "kind",
    "synonyms",
    "settings",
    "gate",
    "gate[max_probes]",
    "images",
    "images[]",
    "settings[steps]",
    "settings[]",
    "synonyms[x]",
    "unknown",
]
PATHS = [
    "/v1/videos",
    "/v1/encoders",
    "/v1/aliases/x",
    "/v1/aliases/%00",
    "/v1/videos/%ff",
    "/v1/videos/x/content",
    "/v1/encoders/..",
    "/v1/encoders/no-pogo/report",
    "/v1/encoders/no-pogo/report/..%2fcard.json",
    "/v1/encoders/%2e%2e%2fbase",
    "/v1/models/tiny%3Ano-pogo",
    "/v1/models/%F0%9F%92%A5",
    "/v1/aliases",
    "/v1/models",
    "/health",
    "/metrics",
    "/",
    "/docs",
    "/openapi.json",
    "/v1/videos/x/remix",
    "/v1",
    "//",
]
METHODS = [
    "POST",
    "POST",
    "POST",
    "POST",
    "GET",
    "PUT",
    "DELETE",
    "PATCH",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "BREW",
]
# fmt: on
TYPES = (
    "application/json",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/json; charset=utf-16",
    "",
)
BODIES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"prompt": NaN}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": "a", "seed": 1e400}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"--x\r\n\r\n\r\n--x--",
    b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\xff\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\nGIF\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n',
    b"prompt=%ff&prompt=b&seed[]=1",
    b"&".join(b"a=1" for _ in range(2000)),
)
QUERIES = (
    {},
    {"limit": "-1"},
    {"limit": "x"},
    {"after": "\x00"},
    {"order": "up"},
    {"variant": "🎬"},
    {"format": "pdf"},
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Range": "bytes=5-1"},
    {"Accept": ";;q=x,*/*;q=,,/"},
    {"If-None-Match": 'W/"", *'},
    {"Range": "bytes=" + "0-0," * 500},
    {"Idempotency-Key": ""},
    {"Idempotency-Key": "k" * 300},
    {"Authorization": "Bearer \x7f"},
    {"X-Forwarded-For": "192.0.2.1"},
    {"Expect": "100-continue"},
)


@pytest.fixture(scope="module")
def client(make_client: Any) -> Client:
    client: Client = make_client(max_queued_videos=3, max_queued_encoders=1, max_frames=1)
    publish(client.runtime, "no-pogo")
    return client


def strange_request(draw: random.Random) -> dict[str, Any]:
    """Draw one request at random: strange values in known fields, or a body without fields."""
    request: dict[str, Any] = {
        "method": draw.choice(METHODS),
        "url": draw.choice(PATHS),
        "params": draw.choice(QUERIES),
        "headers": {**draw.choice(HEADERS)},
    }
    fields = {name: draw.choice(STRANGE) for name in draw.sample(FIELDS, draw.randint(0, 6))}
    if draw.random() < 0.5:
        fields = {"prompt": "a", **fields} if draw.random() < 0.5 else {"concept": "pogo", **fields}
    shape = draw.random()
    if shape < 0.5:
        request["content"] = json.dumps(fields).encode()
        request["headers"]["content-type"] = "application/json"
    elif shape < 0.75:
        request["files"] = [
            (name, (None if draw.random() < 0.8 else "f", str(value)))
            for name, value in fields.items()
        ]
    else:
        request["content"] = draw.choice(BODIES)
        request["headers"]["content-type"] = draw.choice(TYPES)
    return request


def check(client: TestClient, request: dict[str, Any]) -> int:
    """Send a request, assert that a refusal has the API's shape, and return the status."""
    answer = client.request(**request)
    assert answer.status_code < 500, (request, answer.text)
    if answer.status_code >= 400 and request["method"] != "HEAD":
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}, request
        assert error["message"], request
    return answer.status_code


def test_malformed_requests_are_refused_and_nothing_breaks(client: Client) -> None:
    draw = random.Random(20260101)
    statuses: dict[int, int] = {}
    for _ in range(REQUESTS):
        status = check(client, strange_request(draw))
        statuses[status] = statuses.get(status, 0) + 1
    assert {400, 404, 405, 415} <= set(statuses), statuses
    proper = client.post("/v1/videos", json={"prompt": "a", "steps": 1, "frames": 1})
    assert proper.status_code == 200, proper.text
    ids = [v["id"] for v in client.get("/v1/videos", params={"limit": 100}).json()["data"]]
    assert proper.json()["id"] in ids
    for video in ids:
        assert client.delete(f"/v1/videos/{video}").status_code == 200
    assert client.get("/health").json() == {"status": "ready"}


def test_schemathesis_finds_no_server_error(client: Client) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 16
    for operation in operations:

        @hypothesis.settings(
            max_examples=15,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def send(case: schemathesis.Case) -> None:
            request = case.as_transport_kwargs(base_url="http://127.0.0.1")
            request.pop("timeout", None)
            if isinstance(request.get("data"), bytes):
                request["content"] = request.pop("data")
            request.pop("cookies", None)
            if request.get("files"):  # the client takes text and bytes only
                request["files"] = [
                    (name, (file, value if isinstance(value, bytes | str) else str(value)))
                    for name, (file, value, *_) in request["files"]
                ]
            check(client, request)

        send()
