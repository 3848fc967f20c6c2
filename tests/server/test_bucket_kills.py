"""A server with a bucket is killed, loses its disk except the database, and the bucket for 30 s."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psutil
import pytest

from encoders.object_blobs import ObjectBlobs
from tests.object_server import Gate, ObjectServer
from tests.server.help import SERVER_TIMEOUT_S, Server, assert_error, running, wait_for, wait_ready
from tests.server.test_kills import (
    SETTINGS,
    VIDEO,
    assert_all_done,
    kill,
    look,
    reached,
    submit,
    until,
)

AWAY_S = 30.0


def lose_disk(data: Path) -> None:
    """Remove everything from a data directory but the databases."""
    for path in data.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif ".sqlite" not in path.name:
            path.unlink()


def status(server: Server, path: str) -> int:
    return server.client.get(path).status_code


@pytest.mark.slow
def test_kills_and_an_outage_lose_nothing(
    quick_backbone_dir: Path,
    tmp_path: Path,
    object_server: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, bucket = Gate(object_server.endpoint), object_server.bucket()
    for name, value in object_server.environment(gate.endpoint).items():
        monkeypatch.setenv(name, value)
    blobs = ObjectBlobs(bucket)
    with running(quick_backbone_dir, tmp_path, store=bucket, **SETTINGS) as server:
        videos = submit(server)
        until(lambda: reached(server, "optimising"), "the encoder never got to optimising")
        until(
            lambda: any("checkpoint" in item.path for item in blobs.walk("making")),
            "no checkpoint was written",
        )
        parent, workers = server.parent, server.workers()
        kill(parent)
        psutil.wait_procs(workers, timeout=SERVER_TIMEOUT_S)
        lose_disk(tmp_path / "data")
        server.start()
        for video in videos:
            assert wait_for(server.client, f"/v1/videos/{video}")["status"] == "completed"
        content = f"/v1/videos/{videos[0]}/content"
        with gate.closed():
            ends = time.monotonic() + AWAY_S
            waiting = server.client.post("/v1/videos", json=VIDEO).json()["id"]
            until(lambda: status(server, "/readyz") == 503, "still ready")
            while time.monotonic() < ends:
                assert_error(server.client.get(content), 503, code="storage_unavailable")
                assert status(server, "/livez") == 200
                time.sleep(1)
            assert look(server, f"/v1/videos/{waiting}")["status"] in ("queued", "in_progress")
        videos.append(waiting)
        until(lambda: status(server, "/readyz") == 200, "not ready again")
        (worker,) = server.workers()
        worker.kill()
        until(lambda: [one for one in server.workers() if one.pid != worker.pid], "no new worker")
        wait_ready(server.client)
        assert_all_done(server, videos)
        listed = server.client.get("/v1/videos", params={"limit": 100}).json()["data"]
        for video in listed:
            assert server.client.delete(f"/v1/videos/{video['id']}").status_code == 200
        assert server.client.delete("/v1/encoders/no-pogo").status_code == 200
        left = {item.path.split("/")[0] for item in blobs.walk("") if ".palimp" not in item.path}
        assert left == {"base-clips"}
    assert "a-secret-of-the-tests" not in server.log.read_text()
