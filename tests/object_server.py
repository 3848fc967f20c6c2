"""An S3 server for tests: moto in a process of its own, one for all of pytest's workers.

`python -m tests.object_server <pid> <file>` serves until the process of that id is gone, and writes
its address to the file.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import psutil
import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent
_START_S = 60.0


class ObjectServer:
    """A running server; it holds its objects in memory.

    Args:
        endpoint: Its address, such as `http://127.0.0.1:5000`.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def bucket(self) -> str:
        """Make a bucket, and return its URL."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.request("PUT", name)
        return f"s3://{name}"

    def request(self, method: str, path: str) -> bytes:
        """Send a request without a signature, and return the answer's body."""
        request = urllib.request.Request(f"{self.endpoint}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the variables by which obstore finds the server, or another address of it."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIDTEST",
            "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
            "AWS_REGION": "us-east-1",
        }


class Gate:
    """An address of a server that can be closed, as if the server were away."""

    def __init__(self, endpoint: str) -> None:
        self._server = urlsplit(endpoint)
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self._port = 0
        self.open()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and cut those that there are."""
        assert self._listener is not None
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    @contextmanager
    def closed(self) -> Generator[None]:
        """Be closed inside the block."""
        self.close()
        try:
            yield
        finally:
            self.open()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it was closed
            while True:
                ours, _ = listener.accept()
                theirs = socket.create_connection((self._server.hostname, self._server.port))
                self._open += [ours, theirs]
                for source, target in ((ours, theirs), (theirs, ours)):
                    Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def shared_object_server(temporary: pytest.TempPathFactory) -> ObjectServer:
    """Return the session's server; the first worker that asks for it starts it."""
    folder = temporary.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if is_worker:  # the folder above is the session's, and the process above ends last
        folder = folder.parent
    said = folder / "object-server"
    with FileLock(folder / "object-server.lock"):
        if not said.exists():
            _start(os.getppid() if is_worker else os.getpid(), said)
    return ObjectServer(said.read_text())


def start_object_server(folder: Path) -> ObjectServer:
    """Start a server that ends with this process, and keeps its log in a folder."""
    said = folder / "object-server"
    _start(os.getpid(), said)
    return ObjectServer(said.read_text())


def _start(owner: int, said: Path) -> None:
    log = said.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.object_server", str(owner), str(said)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    until = time.monotonic() + _START_S
    while not said.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"The S3 server did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def _serve(owner: int, said: Path) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    draft = said.with_suffix(".draft")
    draft.write_text(f"http://{host}:{port}")
    draft.rename(said)
    while psutil.pid_exists(owner):
        time.sleep(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
