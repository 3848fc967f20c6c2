"""Connections: deadlines, limits, and what is refused before any app is called."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.server.help import SERVER_TIMEOUT_S
from tests.server.raw_connections import HALF, Served, answer_of, read_to, serving


@pytest.fixture(scope="module")
def impatient() -> Iterator[Served]:
    with serving(head_seconds=0.6, linger_seconds=0.4, stalled_seconds=1) as served:
        yield served


def test_headers_that_do_not_come_end_the_connection(impatient: Served) -> None:
    silent, half = impatient.open(), impatient.open(HALF)
    assert answer_of(half)[0] == 408
    assert silent.recv(1) == b""
    silent.close()
    trickle = impatient.open(HALF)
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() < began + SERVER_TIMEOUT_S:
            trickle.sendall(b"a")
            time.sleep(0.05)
    assert time.monotonic() - began < SERVER_TIMEOUT_S / 2  # a byte now and then is no request
    trickle.close()
    impatient.wait(0)


def test_a_kept_connection_waits_longer_but_not_within_a_request(impatient: Served) -> None:
    kept = impatient.open()
    for _ in range(2):
        kept.sendall(b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_to(kept, b"/v1/x" + b"\r\n0\r\n\r\n")
        time.sleep(1.3)  # over twice the time for headers
    kept.sendall(HALF)
    assert answer_of(kept)[0] == 408


def test_an_answer_that_nobody_takes_is_given_up(impatient: Served) -> None:
    stalled = impatient.open(b"GET /v1/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
    slow = impatient.open(b"GET /v1/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
    impatient.wait(2)
    until, taken = time.monotonic() + SERVER_TIMEOUT_S, 0
    while len(impatient.connections) == 2:
        taken += len(slow.recv(1 << 16))
        assert time.monotonic() < until
        time.sleep(0.02)
    while data := slow.recv(1 << 20):  # the other one gets everything
        taken += len(data)
        if taken > 64 << 20:
            break
    assert taken > 64 << 20
    slow.close()
    stalled.close()
    impatient.wait(0)


REFUSED = {
    "no http": (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    "a bad request line": (b"GET / HTTP/9.9 x\r\n\r\n", 400),
    "a nul in the path": (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a nul in a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
    "a name with a space": (b"GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400),
    "an unknown coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501),
    "a long line": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "a long header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 10_000 + b"\r\n", 431),
    "101 headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 100 + b"\r\n", 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_is_refused_in_the_apis_shape(impatient: Served, name: str) -> None:
    sent, status = REFUSED[name]
    began = time.process_time()
    assert answer_of(impatient.open(sent))[0] == status
    assert time.process_time() - began < 0.2


def test_a_body_in_single_bytes_is_refused(impatient: Served) -> None:
    head = b"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    began = time.process_time()
    assert answer_of(impatient.open(head + b"1\r\na\r\n" * 10_000))[0] == 400
    assert time.process_time() - began < 0.3
    fine = impatient.open(head + b"1\r\na\r\n" * 200 + b"0\r\n\r\n")
    read_to(fine, b"200\r\n0\r\n\r\n")
    fine.close()


def test_an_upgrade_is_answered_as_a_request(impatient: Served) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    asked = impatient.open(b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")
    assert asked.recv(1 << 16).startswith(b"HTTP/1.1 200")
    asked.close()


@pytest.mark.parametrize("close", ["close", "keep-alive"])
def test_the_answer_to_a_refused_body_can_be_read(impatient: Served, close: str) -> None:
    body = bytes(8 << 20)
    with httpx.Client(base_url=impatient.url, timeout=SERVER_TIMEOUT_S) as client:
        for path in ("/livez", "/v1/read"):
            answer = client.post(path, content=body, headers={"connection": close})
            assert answer.status_code == 413, path
    impatient.wait(0)


def test_a_small_body_that_is_not_read_keeps_the_connection(impatient: Served) -> None:
    kept = impatient.open(b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
    read_to(kept, b"/v1/x" + b"\r\n0\r\n\r\n")
    kept.sendall(b"{}GET /v1/y HTTP/1.1\r\nHost: localhost\r\n\r\n")
    read_to(kept, b"/v1/y" + b"\r\n0\r\n\r\n")
    kept.close()
