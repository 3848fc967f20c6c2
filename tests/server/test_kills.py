"""Accepted jobs survive a kill −9 of the parent and of the worker; no process outlives both."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.server.help import SERVER_TIMEOUT_S, Server, running, wait_for, wait_ready
from video import clip

VIDEO = {"prompt": "pogo in a meadow", "seed": 5, "steps": 60, "frames": 8}
ENCODER = {
    "id": "no-pogo",
    "concept": "pogo",
    "kind": "character",
    "settings": {"steps": 30},
}
SETTINGS = {"min_base_rate": 0, "max_probes": 2, "judged_videos": 1}


def until(condition: Callable[[], Any], what: str, seconds: float = SERVER_TIMEOUT_S) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def kill(process: psutil.Process) -> None:
    process.kill()
    psutil.wait_procs([process], timeout=SERVER_TIMEOUT_S)


def submit(server: Server) -> list[str]:
    """Submit a video that runs, one that waits, and an encoder; return the videos' ids."""
    videos = [
        server.client.post("/v1/videos", json={**VIDEO, "seed": seed}).json()["id"]
        for seed in (5, 6)
    ]
    assert server.client.post("/v1/encoders", json=ENCODER).status_code == 200
    return videos


def look(server: Server, path: str) -> dict[str, Any]:
    return server.client.get(path).json()


def reached(server: Server, phase: str) -> bool:
    """Return True if the encoder is in this phase, or past it."""
    order = ["naming", "ways", "images", "optimising", "judging", "published"]
    now = look(server, "/v1/encoders/no-pogo")["phase"]
    return now in order[order.index(phase) :]


def assert_all_done(server: Server, videos: list[str]) -> None:
    for video in videos:
        done = wait_for(server.client, f"/v1/videos/{video}")
        assert done["status"] == "completed", done
        data = server.client.get(f"/v1/videos/{video}/content").content
        assert clip.decode_mp4(data).shape[0] == VIDEO["frames"]
    made = wait_for(server.client, "/v1/encoders/no-pogo")
    assert made["status"] == "published", made
    listed = server.client.get("/v1/videos", params={"limit": 100}).json()["data"]
    assert sorted(video["id"] for video in listed) == sorted(videos)
    assert [e["id"] for e in server.client.get("/v1/encoders").json()["data"]] == ["no-pogo"]
    quick = {"prompt": "pogo", "encoder": "no-pogo", "steps": 1, "frames": 1}
    used = server.client.post("/v1/videos", json=quick).json()
    assert wait_for(server.client, f"/v1/videos/{used['id']}")["status"] == "completed"


@pytest.mark.parametrize("phase", ["optimising", "judging"])
def test_a_killed_parent_ends_its_worker_and_the_next_start_continues(
    quick_backbone_dir: Path, tmp_path: Path, phase: str
) -> None:
    with running(quick_backbone_dir, tmp_path, **SETTINGS) as server:
        videos = submit(server)
        until(lambda: look(server, f"/v1/videos/{videos[0]}")["progress"] > 0, "no video began")
        until(lambda: reached(server, phase), f"the encoder never got to {phase}")
        parent, (worker,) = server.parent, server.workers()
        kill(parent)
        gone, _ = psutil.wait_procs([worker], timeout=SERVER_TIMEOUT_S)
        assert gone, "the worker outlived its parent"
        assert not server.is_listening(), "an orphan holds the port"
        server.start()
        assert_all_done(server, videos)


def test_a_killed_worker_is_restarted_and_continues(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    with running(quick_backbone_dir, tmp_path, **SETTINGS) as server:
        videos = submit(server)
        until(lambda: look(server, f"/v1/videos/{videos[0]}")["progress"] > 0, "no video began")
        (worker,) = server.workers()
        worker.kill()
        until(lambda: [w for w in server.workers() if w.pid != worker.pid], "no new worker")
        wait_ready(server.client)
        assert_all_done(server, videos)


def test_a_stopped_server_leaves_its_jobs_to_the_next_start(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    with running(quick_backbone_dir, tmp_path, **SETTINGS) as server:
        videos = submit(server)
        until(lambda: look(server, f"/v1/videos/{videos[0]}")["progress"] > 0, "no video began")
        deleted = server.client.post("/v1/videos", json=VIDEO).json()["id"]
        assert server.client.delete(f"/v1/videos/{deleted}").status_code == 200
        parent, (worker,) = server.parent, server.workers()
        parent.terminate()
        _, alive = psutil.wait_procs([parent, worker], timeout=SERVER_TIMEOUT_S)
        assert not alive
        server.start()
        assert_all_done(server, videos)
        assert server.client.get(f"/v1/videos/{deleted}").status_code == 404
