"""Clients that take their answers slowly: they are given up, and give way to others."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from server.http.clients import client_of, is_local
from server.http.connections import ConnectionLimits, Connections
from server.http.pace import Pace
from server.http.stages import Stage
from tests.server.help import SERVER_TIMEOUT_S
from tests.server.raw_connections import Served, answer_of, read_to, serving

BIG = b"GET /v1/big HTTP/1.1\r\nHost: localhost\r\n\r\n"
QUIET = b"GET /v1/quiet HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Taker:
    """A client that takes 64 MB, some bytes of it every twentieth of a second."""

    def __init__(self, served: Served, size: int) -> None:
        self.taken = 0
        self.hurry, self.is_cut = threading.Event(), False
        self._size = size
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        self._socket.settimeout(SERVER_TIMEOUT_S)
        self._socket.connect(("127.0.0.1", served.port))
        self._socket.sendall(BIG)
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        try:
            while self.taken < 64 << 20 and (data := self._socket.recv(self._size)):
                self.taken += len(data)
                self.hurry.wait(0.05)
        except ConnectionResetError:
            pass
        self.is_cut = self.taken < 64 << 20
        self._socket.close()

    def wait(self) -> None:
        self._thread.join(SERVER_TIMEOUT_S)
        assert not self._thread.is_alive()


def eventually(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SERVER_TIMEOUT_S
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def test_an_answer_that_is_taken_too_slowly_is_given_up() -> None:
    limits = {"head_seconds": 600, "stalled_seconds": 1.5, "least_bytes_per_second": 400_000}
    with serving(**limits) as served:
        slow, quick = Taker(served, 4 << 10), Taker(served, 64 << 10)
        served.wait(2)
        served.wait(1)
        slow.hurry.set()  # what is on its way still arrives
        slow.wait()
        assert slow.is_cut
        assert 0 < slow.taken < 8 << 20
        quick.hurry.set()
        quick.wait()
        assert not quick.is_cut


def test_slow_takers_give_way_to_new_connections_and_others_do_not() -> None:
    limits = {"head_seconds": 600, "stalled_seconds": 600, "slow_seconds": 1}
    with serving(most=10, slow_bytes_per_second=400_000, **limits) as served:
        quick = Taker(served, 64 << 10)
        quiet = served.open(QUIET)
        read_to(quiet, b"/v1/quiet")
        slow = [Taker(served, 4 << 10) for _ in range(8)]

        following = list[socket.socket]()

        def follow() -> bool:
            """Open a connection that takes a place and has nothing to take."""
            connection = served.open(QUIET)
            following.append(connection)
            return connection.recv(1 << 16).startswith(b"HTTP/1.1 200")

        for _ in range(8):
            eventually(follow, "slow takers hold the places")
        for taker in slow:
            taker.hurry.set()
            taker.wait()
            assert taker.is_cut
        time.sleep(1.6)  # more than a span: they would be slow by now
        status, error = answer_of(served.open())
        assert (status, error["code"]) == (503, "too_many_connections")
        quick.hurry.set()
        quick.wait()
        assert not quick.is_cut
        served.wait(9)
        assert httpx.get(served.url + "/v1/x", timeout=SERVER_TIMEOUT_S).text == "/v1/x"
        for connection in (quiet, *following):
            connection.close()


def test_a_quick_begin_saves_nothing_and_a_rest_is_not_slow() -> None:
    pace = Pace(1000, 10)
    pace.note(0, 0.0)
    pace.note(50_000_000, 1.0)
    for second in range(2, 12):
        pace.note(50_000_000 + 900 * (second - 1), second)
        assert not pace.is_behind
    pace.note(50_009_900, 12)
    assert pace.is_behind
    pace.note(50_010_000, 12.5)
    assert not pace.is_behind, "it has caught up"
    pace.rest()
    pace.note(50_010_000, 1000)
    assert not pace.is_behind
    pace.note(50_010_000, 1011)
    assert pace.is_behind


@pytest.mark.parametrize(
    ("address", "client", "local"),
    [
        ("192.0.2.1", "192.0.2.1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", False),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", False),
        ("2001:DB8:1:2:ffff::", "2001:db8:1:2::/64", False),
        ("fe80::1%eth0", "fe80::/64", False),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("127.8.0.1", "127.8.0.1", True),
        ("", "", True),
    ],
)
def test_an_address_stands_for_a_client(address: str, client: str, local: bool) -> None:
    assert (client_of(address), is_local(address)) == (client, local)


class Idle:
    """A connection that waits: this machine has no IPv6 network from which to open some."""

    stage, since, is_ended = Stage.WAITING, 0.0, False

    def __init__(self, address: str) -> None:
        self.address = address

    def check(self, now: float) -> None: ...

    def end(self) -> None:
        self.is_ended = True


def test_an_ipv6_network_has_the_places_of_one_client() -> None:
    async def fill() -> None:
        register = Connections(ConnectionLimits(most_per_address=5))
        other = Idle("2001:db8:0:1::1")
        many = [Idle(f"2001:db8::{i:x}:1") for i in range(20)]
        for connection in (other, *many):
            assert register.admit(connection)
        assert len(register) == 6
        assert [connection.is_ended for connection in many] == [True] * 15 + [False] * 5
        assert not other.is_ended
        for connection in (other, *many):
            register.leave(connection)
        assert len(register) == 0

    asyncio.run(fill())
