"""A thousand idle connections on a started server that may open few files."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.server.help import running, wait_for

KINDS = (
    b"",
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-A: ",
    b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    b"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
)


@pytest.mark.timeout(300)
def test_idle_connections_stop_neither_probes_nor_jobs(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    with running(quick_backbone_dir, tmp_path) as server, contextlib.ExitStack() as held:
        server.workers()[0].rlimit(psutil.RLIMIT_NOFILE, (128, 128))
        time.sleep(1)  # the server looks at its limit twice a second, while it has connections
        jobs = [
            server.client.post("/v1/videos", json={"prompt": "a", "steps": 4, "frames": 4}).json()
            for _ in range(3)
        ]
        worst = 0.0
        for number in range(1000):
            idle = held.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
            with contextlib.suppress(OSError):
                idle.sendall(KINDS[number % len(KINDS)])
            if number % 50 == 0:
                began = time.monotonic()
                assert httpx.get(server.url + "/livez", timeout=30).status_code == 200
                worst = max(worst, time.monotonic() - began)
        assert worst < 1.5, worst  # 0.05 s where nothing else runs
        assert len(jobs) == 3
        for job in jobs:
            ended = wait_for(server.client, f"/v1/videos/{job['id']}")
            assert ended["status"] == "completed", ended
        log = server.log.read_text()
        assert "Too many open files" not in log
        assert "Traceback" not in log
        assert "connections at a time" in log
