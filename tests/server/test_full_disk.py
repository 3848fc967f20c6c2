"""A server whose disk is full: it starts, it stays, and it goes on once there is room."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.server.help import SERVER_TIMEOUT_S, Server, assert_error, wait_for, wait_ready
from tests.server.test_outages import full, mount

QUICK = {"prompt": "pogo in a meadow", "steps": 1, "frames": 1, "seed": 1}


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    """Yield a small disk of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    if not mount("mount", "-t", "tmpfs", "-o", f"size=24m,uid={os.geteuid()}", "tmpfs", str(path)):
        pytest.skip("a small disk cannot be mounted: run as root, or with sudo")
    try:
        yield path
    finally:
        mount("umount", "-l", str(path))


def test_a_full_disk_ends_no_worker(quick_backbone_dir: Path, tmp_path: Path, disk: Path) -> None:
    """Start on a full disk, and fill it again later. All that BentoML writes is there too."""
    (disk / "data").mkdir()
    server = Server(quick_backbone_dir, tmp_path, data_dir=disk / "data")
    try:
        with full(disk):
            server.launch(BENTOML_HOME=str(disk / "bentoml"))
            until = time.monotonic() + SERVER_TIMEOUT_S
            while "storage" not in server.log.read_text() or not server.is_listening():
                assert time.monotonic() < until, server.log.read_text()[-4000:]
                time.sleep(0.1)
            assert server.client.get("/livez").status_code == 200
            assert server.client.get("/readyz").status_code == 503
            assert_error(server.client.post("/v1/videos", json=QUICK), 503)
            [worker] = server.workers()
        wait_ready(server.client)
        with full(disk):
            for path in ("/v1/videos", "/v1/encoders", "/v1/aliases", "/docs", "/nowhere"):
                assert server.client.get(path).status_code in (200, 404)
                assert server.client.options(path).status_code < 500
            assert_error(server.client.post("/v1/videos", json=QUICK), 503)
            assert server.client.get("/metrics").status_code == 200
        video = server.client.post("/v1/videos", json=QUICK).json()
        assert wait_for(server.client, f"/v1/videos/{video['id']}")["status"] == "completed"
        assert server.workers() == [worker]
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()
