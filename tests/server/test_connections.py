"""Connections: deadlines, limits, and what is refused before any app is called."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from server.auth.guard import Guard
from server.auth.live_keys import LiveKeys
from server.http.connections import ConnectionLimits, Connections
from server.http.protocol import BoundedHttpProtocol
from tests.server.help import SERVER_TIMEOUT_S, free_port

RELEASE = threading.Event()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 64 MB, the body's length, or the path. `/v1/quiet` is never over."""
    assert scope["type"] == "http"
    start = {"type": "http.response.start", "status": 200, "headers": []}
    if scope["path"] == "/v1/big":
        await send(start)
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    content = scope["path"].encode()
    if scope["path"] == "/v1/quiet":
        await send(start)
        await send({"type": "http.response.body", "body": content, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    if scope["path"] == "/v1/read":
        content = str(len((await receive())["body"])).encode()
    await send(start)
    await send({"type": "http.response.body", "body": content})


class Served:
    """A server in a thread, and raw connections to it."""

    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.connections = connections

    def open(self, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        connection = socket.create_connection(
            ("127.0.0.1", self.port), SERVER_TIMEOUT_S, source_address=(source, 0)
        )
        connection.sendall(sent)
        return connection

    def wait(self, count: int) -> None:
        until = time.monotonic() + SERVER_TIMEOUT_S
        while len(self.connections) != count:
            assert time.monotonic() < until, len(self.connections)
            time.sleep(0.01)


@contextlib.contextmanager
def serving(**limits: Any) -> Generator[Served]:
    limited = Connections(ConnectionLimits(**limits))

    class Bounded(BoundedHttpProtocol):
        register = limited

    guard = Guard(app, keys=LiveKeys(None, list), max_body_bytes=1000, observe=lambda *_: None)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", free_port()))
    config = uvicorn.Config(
        guard,
        http=Bounded,
        lifespan="off",
        log_level="critical",
        loop="server.http.event_loop:ServingLoop",
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until = time.monotonic() + SERVER_TIMEOUT_S
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield Served(listener.getsockname()[1], limited)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


@pytest.fixture(scope="module")
def impatient() -> Iterator[Served]:
    with serving(head_seconds=0.6, linger_seconds=0.4, stalled_seconds=1) as served:
        yield served


def answer_of(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Read an answer until the server closes; return its status and its error."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 16):
            received += data
    connection.close()
    head, _, body = received.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(head.split()[1]), error


def read_to(connection: socket.socket, end: bytes) -> bytes:
    """Read until the answer has these bytes."""
    received = b""
    while end not in received:
        data = connection.recv(1 << 16)
        assert data, received
        received += data
    return received


HALF = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-A: "


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


def is_closed(connection: socket.socket) -> bool:
    """Wait until the server has closed or reset the connection; False if it sends something."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:  # what it had sent was not read yet
        return True


def test_waiting_connections_give_way_and_lock_nobody_out() -> None:
    with serving(most=20, head_seconds=600, stalled_seconds=600) as served:
        idle = [served.open(HALF if i % 2 else b"") for i in range(100)]
        served.wait(20)
        for _ in range(5):
            answer = httpx.get(served.url + "/v1/x", timeout=SERVER_TIMEOUT_S)
            assert answer.text == "/v1/x"
        closed = [is_closed(connection) for connection in idle[:80]]
        assert len(closed) == 80
        assert all(closed)
        for connection in idle:
            connection.close()


def test_connections_that_are_answered_stay_and_new_ones_are_told() -> None:
    with serving(most=10, head_seconds=600, stalled_seconds=600) as served:
        big = b"GET /v1/big HTTP/1.1\r\nHost: localhost\r\n\r\n"
        busy = [served.open(big) for _ in range(10)]
        for connection in busy:
            assert connection.recv(4).startswith(b"HTTP")
        status, error = answer_of(served.open())
        assert status == 503
        assert error["code"] == "too_many_connections"
        for connection in busy:
            assert connection.recv(1 << 16)
            connection.close()
        served.wait(0)
        assert httpx.get(served.url + "/v1/x", timeout=SERVER_TIMEOUT_S).text == "/v1/x"


def test_one_address_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.connections.is_local", lambda address: address == "127.0.0.1")
    with serving(most=50, most_per_address=5, head_seconds=600) as served:
        strange = [served.open(source="127.0.0.2") for _ in range(10)]
        local = [served.open() for _ in range(10)]
        served.wait(15)
        assert [connection.recv(1) for connection in strange[:5]] == [b""] * 5
        for connection in (*strange, *local):
            connection.close()
