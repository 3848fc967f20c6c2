"""An S3 server for tests: moto in a process of its own, one for all of pytest's workers.

`python -m tests.object_server <pid> <file>` serves until the process of that id is gone, and writes
its address to the file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

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
