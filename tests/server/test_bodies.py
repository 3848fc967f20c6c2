"""Bodies: how much of a request is read, when, and what it may hold."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope

from server.auth.guard import Guard
from server.auth.live_keys import LiveKeys
from server.errors import ApiError, InvalidRequest
from server.http.body_limits import BodyLimits, BodySlots
from server.http.request_body import RequestBody
from tests.server.help import Client, assert_error, bearer, write_keys

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
KIB = 1024


@pytest.fixture(scope="module")
def client(make_client: Callable[..., Client], tmp_path_factory: pytest.TempPathFactory) -> Client:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        boss={"role": "admin"},
        guest={"role": "user", "encoders": ["*"]},
    )
    client = make_client(keys_file=keys, max_body_bytes=1 << 20)
    client.headers.update(bearer("secret-boss"))
    return client


def part(content: bytes, name: str = "images[]", extra: str = "") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def numbered(count: int) -> bytes:
    return json.dumps({f"{i:x}": 0 for i in range(count)}).encode()


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/sync", "/v1/encoders"])
def test_a_body_without_images_is_small(client: Client, path: str) -> None:
    limit = client.runtime.settings.max_fields_bytes
    assert limit == 64 * KIB
    for kind in (JSON, FORM):
        declared = client.post(path, content=b" " * (limit + 1), headers=kind)
        assert_error(declared, 413, code="body_too_large", says=str(limit))
        chunked = client.post(path, content=iter([b" " * KIB] * 65), headers=kind)
        assert_error(chunked, 413, code="body_too_large", says=str(limit))
        assert chunked.headers["connection"] == "close"


def test_only_the_form_of_an_admins_encoder_may_be_large(client: Client) -> None:
    form = part(b"a" * 500 * KIB, extra='; filename="a.png"') + b"--x--\r\n"
    taken = client.post("/v1/encoders", content=form, headers=MULTIPART)
    assert_error(taken, 400)  # read, and refused for what it holds
    guest = {**MULTIPART, **bearer("secret-guest")}
    assert_error(client.post("/v1/encoders", content=form, headers=guest), 413)
    elsewhere = client.post("/v1/videos", content=form, headers=MULTIPART)
    assert_error(elsewhere, 413, code="body_too_large")
    over = client.post("/v1/encoders", content=form * 3, headers=MULTIPART)
    assert_error(over, 413, says=str(client.runtime.settings.max_body_bytes))
    pieces = iter([form] * 3)
    assert_error(client.post("/v1/encoders", content=pieces, headers=MULTIPART), 413)


def test_what_takes_no_body_gets_none(client: Client) -> None:
    for method, path in [
        ("POST", "/docs"),
        ("POST", "/livez"),
        ("PUT", "/"),
        ("GET", "/v1/videos"),
        ("DELETE", "/v1/videos/video_x"),
        ("OPTIONS", "/v1/videos"),
    ]:
        for body in (b"{}", iter([b"{}"])):
            answer = client.request(method, path, content=body, headers=JSON)
            assert_error(answer, 413, code="body_not_taken", says=method)
            assert answer.headers["connection"] == "close"


def test_a_length_that_is_none_or_several_is_refused(client: Client) -> None:
    for length in ("-1", "1e3", "²", "", "0x10", "9" * 5000):
        headers = [(b"content-length", length.encode())]
        answer = client.post("/v1/videos", content=b"{}", headers=headers)
        assert answer.status_code in (400, 413), length
        assert_error(answer, answer.status_code)
    twice = [(b"content-length", b"2"), (b"content-length", b"3")]
    assert_error(client.post("/v1/videos", content=b"{}", headers=twice), 400)


def test_a_compressed_body_is_refused(client: Client) -> None:
    for encoding in ("gzip", "br", "identity, gzip", "deflate"):
        headers = {**JSON, "content-encoding": encoding}
        answer = client.post("/v1/videos", content=b"\x1f\x8b", headers=headers)
        assert_error(answer, 415, says=encoding)


BOMBS = {
    "unknown fields": (JSON, numbered(5000)),
    "settings": (JSON, b'{"concept": "pogo", "settings": ' + numbered(4000) + b"}"),
    "a list": (JSON, b'{"prompt": [' + b"0," * 30_000 + b"0]}"),
    "nested lists": (JSON, b'{"seed": [' + b"[]," * 20_000 + b"0]}"),
    "deep lists": (JSON, b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}"),
    "deep objects": (JSON, b'{"a":' * 150 + b"0" + b"}" * 150),
    "many small lists": (JSON, json.dumps([[[0] * 9] * 9] * 99).encode()),
    "a long name": (JSON, json.dumps({"n" * 60_000: 1}).encode()),
    "digits": (JSON, b'{"prompt": "a", "seed": ' + b"9" * 60_000 + b"}"),
    "an exponent": (JSON, b'{"prompt": "a", "guidance": 1e999999}'),
    "no json": (JSON, b"[" * 65_000),
    "without a type": ({}, numbered(5000)),
    "json by another name": ({"content-type": "application/vnd.x+json"}, numbered(5000)),
    "ampersands": (FORM, b"&" * 64 * KIB),
    "pairs": (FORM, b"a=b&" * 16_000),
    "brackets": (FORM, b"&".join(b"a[%x]=1" % i for i in range(5000))),
    "empty parts": (MULTIPART, b"--x\r\n\r\n\r\n" * 6000 + b"--x--\r\n"),
    "parts": (MULTIPART, part(b"", "a") * 900 + b"--x--\r\n"),
    "line ends": (MULTIPART, part(b"\r\n--" * 15_000) + b"--x--\r\n"),
    "a long header": (MULTIPART, b"--x\r\nX: " + b"a" * 60_000 + b"\r\n\r\n--x--\r\n"),
    "many headers": (MULTIPART, b"--x\r\n" + b"X: a\r\n" * 10_000 + b"\r\n--x--\r\n"),
    "a long boundary": (
        {"content-type": "multipart/form-data; boundary=" + "-" * 200},
        b"-" * 64 * KIB,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("path", ["/v1/videos", "/v1/encoders", "/v1/aliases/x"])
def test_no_small_body_costs_much(client: Client, path: str, name: str) -> None:
    headers, body = BOMBS[name]
    method = "PUT" if "aliases" in path else "POST"
    costs: list[float] = []
    for _ in range(3):
        began = time.process_time()
        answer = client.request(method, path, content=body, headers=headers)
        costs.append(time.process_time() - began)
        assert answer.status_code in (400, 413, 415, 422), answer.text
        assert_error(answer, answer.status_code)
        assert len(answer.content) < 2 * KIB
    assert min(costs) < 0.1, costs  # about 20 ms with the client's own share


# The body by itself, with the server's side of the connection played by the test


def post(**headers: str) -> Scope:
    named = {"host": "localhost", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return {"type": "http", "method": "POST", "path": "/v1/encoders", "headers": raw}


def pieces(*contents: bytes, stall: bool = False) -> Receive:
    left = list(contents)

    async def receive() -> Message:
        if stall and not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or stall}

    return receive


async def drop(message: Message) -> None:
    pass


def limits(**changes: Any) -> BodyLimits:
    return replace(BodyLimits(max_fields_bytes=100, max_body_bytes=1000), **changes)


def large(receive: Receive, limits: BodyLimits, key: str = "admin") -> RequestBody:
    scope = post(content_type="multipart/form-data; boundary=x")
    slots = limits.image_slots if key == "admin" else limits.file_slots
    return RequestBody(scope, receive, limits, is_public=False, slots=slots, key=key)


def test_a_body_that_stalls_ends_with_408() -> None:
    async def read(receive: Receive, limits: BodyLimits) -> None:
        async with RequestBody(post(), receive, limits, is_public=False, slots=None) as body:
            await body.receive()

    for sent in ((), (b"{",), (b"{",) * 50):
        receive = pieces(*sent, stall=True)
        with pytest.raises(ApiError) as caught:
            asyncio.run(read(receive, limits(body_seconds=0.02)))
        assert caught.value.status == 408


def test_large_bodies_wait_for_each_other_and_are_refused_after_a_while() -> None:
    async def many() -> None:
        shared = limits(image_slots=BodySlots(2, 2), slot_seconds=0.02)
        held = [large(pieces(b"a", b"b"), shared) for _ in range(3)]
        async with held[0], held[1]:
            assert (await held[0].receive())["body"] == b"a"
            assert (await held[1].receive())["body"] == b"a"
            with pytest.raises(ApiError, match="large bodies") as caught:
                async with held[2]:
                    await held[2].receive()
            assert caught.value.status == 503
        async with large(pieces(b"a", b"b"), shared) as later:
            assert (await later.receive())["body"] == b"a"

    asyncio.run(many())


def test_a_key_that_sends_a_file_slowly_holds_up_itself_alone() -> None:
    async def many() -> None:
        shared = limits(file_slots=BodySlots(4, 1), slot_seconds=0.02)
        async with large(pieces(b"a", stall=True), shared, key="slow") as slow:
            await slow.receive()
            for _ in range(6):  # a refused one keeps no place
                with pytest.raises(ApiError, match="large bodies"):
                    async with large(pieces(b"a"), shared, key="slow") as second:
                        await second.receive()
            for key in ("b", "c", "d"):
                async with large(pieces(b"a"), shared, key=key) as other:
                    assert (await other.receive())["body"] == b"a"
            async with large(pieces(b"a"), shared) as images:
                assert (await images.receive())["body"] == b"a"
        async with large(pieces(b"a"), shared, key="slow") as later:
            assert (await later.receive())["body"] == b"a"

    asyncio.run(many())


def test_the_apps_answer_to_a_refused_body_is_dropped() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def swallow() -> None:
        async with large(pieces(b"a" * 2000), limits()) as body:
            with pytest.raises(ApiError):
                await body.receive()
            await body.guarded(send)({"type": "http.response.start", "status": 500})

    with pytest.raises(ApiError) as caught:
        asyncio.run(swallow())
    assert caught.value.status == 413
    assert sent == []


def test_a_client_that_leaves_is_no_servers_fault() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def read() -> None:
        async with large(gone, limits()) as body:
            await body.receive()

    with pytest.raises(InvalidRequest, match="closed"):
        asyncio.run(read())


def test_nothing_is_read_before_the_key_is_known_or_for_an_unknown_route(
    client: Client, tmp_path: Path
) -> None:
    keys = write_keys(tmp_path / "keys.json", boss={"role": "admin"})
    guard = Guard(
        client.unguarded,
        keys=LiveKeys(keys, list),
        max_body_bytes=1000,
        observe=lambda *_: None,
    )

    async def unread() -> Message:
        raise AssertionError("the body was read")

    def status(path: str, *, key: str | None) -> int:
        answers: list[Message] = []

        async def send(message: Message) -> None:
            answers.append(message)

        headers = [(name.lower().encode(), value.encode()) for name, value in bearer(key).items()]
        scope = {**post(content_length="50"), "path": path, "query_string": b""}
        scope["headers"] = [*scope["headers"], *headers]
        asyncio.run(guard(scope, unread, send))
        return answers[0]["status"]

    assert status("/v1/videos", key=None) == 401
    assert status("/v1/videos", key="wrong") == 401
    assert status("/v1/nothing", key="secret-boss") == 404
    assert status("/v1/encoders/x", key="secret-boss") == 405
