"""The load balancer of the replicas' benchmark."""

from __future__ import annotations

from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from benchmarks.replicas.round_robin import round_robin
from benchmarks.serving.servers import free_port


class Named(BaseHTTPRequestHandler):
    """Answers with the server's name and what was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/breaks":
            self.connection.close()
            return
        said = f"{self.server.server_port} {self.path} {body.decode()}".encode()
        self.send_response(201)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def servers() -> Generator[list[ThreadingHTTPServer]]:
    made = [ThreadingHTTPServer(("127.0.0.1", 0), Named) for _ in range(2)]
    for server in made:
        Thread(target=server.serve_forever, daemon=True).start()
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


def test_each_request_goes_to_another_server(servers: list[ThreadingHTTPServer]) -> None:
    ports = [server.server_port for server in servers]
    with round_robin([f"http://127.0.0.1:{port}" for port in ports]) as url:
        answers = [httpx.post(f"{url}/a?b=c", content="d") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201] * 4
    expected = [f"{port} /a?b=c d" for port in ports]
    assert [answer.text for answer in answers] == expected * 2


def test_a_server_that_is_away_is_passed_over(servers: list[ThreadingHTTPServer]) -> None:
    there = servers[0].server_port
    with round_robin([f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{there}"]) as url:
        answers = [httpx.post(f"{url}/a", content="d") for _ in range(3)]
    assert [answer.text for answer in answers] == [f"{there} /a d"] * 3


def test_an_answer_that_breaks_off_is_the_clients_to_repeat(
    servers: list[ThreadingHTTPServer],
) -> None:
    with round_robin([f"http://127.0.0.1:{servers[0].server_port}"]) as url:
        answer = httpx.post(f"{url}/breaks", content="d")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "load_balancer"
