"""Which connections give way to new ones when all places are taken."""

from __future__ import annotations

import contextlib
import socket

import httpx
import pytest

from tests.server.help import SERVER_TIMEOUT_S
from tests.server.raw_connections import HALF, answer_of, serving


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


def test_connections_with_refused_bodies_give_way() -> None:
    """The client has its answer: what it still sends takes nobody's place."""
    head = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(most=10, head_seconds=600, linger_seconds=600) as served:
        refused = list[socket.socket]()
        for _ in range(40):
            refused.append(served.open(head + b"2\r\n{}\r\n"))
            assert refused[-1].recv(12) == b"HTTP/1.1 413"
        assert len(served.connections) == 10
        for _ in range(20):
            answer = httpx.get(served.url + "/v1/x", timeout=SERVER_TIMEOUT_S)
            assert answer.text == "/v1/x"
        for connection in refused:
            connection.close()


def test_an_answer_in_one_piece_is_taken_to_its_end() -> None:
    """The app has sent everything, and the client is still reading it."""
    with serving(most=10, head_seconds=600, stalled_seconds=600) as served:
        taking = served.open(b"GET /v1/whole HTTP/1.1\r\nHost: localhost\r\n\r\n")
        taken = len(taking.recv(1))
        idle = [served.open() for _ in range(30)]
        served.wait(10)
        with contextlib.closing(taking):
            while taken < 16 << 20:
                data = taking.recv(1 << 20)
                assert data, taken
                taken += len(data)
        for connection in idle:
            connection.close()


def test_one_address_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.connections.is_local", lambda address: address == "127.0.0.1")
    with serving(most=50, most_per_address=5, head_seconds=600) as served:
        strange = [served.open(source="127.0.0.2") for _ in range(10)]
        local = [served.open() for _ in range(10)]
        served.wait(15)
        assert [connection.recv(1) for connection in strange[:5]] == [b""] * 5
        for connection in (*strange, *local):
            connection.close()
