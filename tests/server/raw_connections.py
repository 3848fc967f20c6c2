"""Raw connections to a small app behind the server's guard and its HTTP protocol."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Generator
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from server.auth.guard import Guard
from server.auth.live_keys import LiveKeys
from server.http.connections import ConnectionLimits, Connections
from server.http.protocol import BoundedHttpProtocol
from tests.server.help import SERVER_TIMEOUT_S, free_port

HALF = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-A: "
"""A request whose headers are not complete."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 64 MB in pieces, 16 MB in one, the body's length, or the path.

    `/v1/quiet` is never over.
    """
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
    if scope["path"] == "/v1/whole":
        content = bytes(16 << 20)
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
