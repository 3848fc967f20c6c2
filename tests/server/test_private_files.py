"""Stored data is for the server's user alone, whatever the umask and whoever wrote it before."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.storage import private_files
from tests.server.help import ROOT, Server, wait_for
from tests.server.places import places_of

VIDEO = f"video_{0:032}"


def open_to_others(folder: Path) -> list[str]:
    """Return what is in a folder, with the folder itself, that others than its user can use."""
    paths = [folder, *folder.rglob("*")]
    assert len(paths) > 1
    found: list[str] = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # a running server removes what it has staged
            mode = path.lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                found.append(f"{path} {mode:o}")
    return found


@pytest.fixture
def umask_022() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask_022")
def test_older_data_is_closed_and_links_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    data = tmp_path / "data"
    (data / "videos" / VIDEO).mkdir(parents=True)
    for name in ("records.sqlite", "records.sqlite-wal", f"videos/{VIDEO}/video.mp4"):
        (data / name).write_bytes(b"x")
    (data / "link").symlink_to(outside)
    (data / "server.lock").write_text("")
    (data / "server.lock").chmod(0o600)
    assert private_files.tighten(data) == 6
    assert open_to_others(data) == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert private_files.tighten(data) == 0
    assert os.access(data / "videos" / VIDEO / "video.mp4", os.R_OK | os.W_OK)


@pytest.mark.usefixtures("umask_022")
def test_everything_a_server_stores_is_private(quick_backbone_dir: Path, tmp_path: Path) -> None:
    if any(places_of(tmp_path / "data").values()):
        pytest.skip("it looks into the data directory")
    old = tmp_path / "data" / "videos" / VIDEO
    old.mkdir(parents=True)
    (tmp_path / "data" / "records.sqlite").touch()  # else it would be no server's
    (old / "video.mp4").write_bytes(b"x")
    server = Server(quick_backbone_dir, tmp_path, max_probes=1, judged_videos=1, min_base_rate=0)
    try:
        server.start()
        made = {"id": "no-pogo", "concept": "pogo", "kind": "character", "settings": {"steps": 2}}
        assert server.client.post("/v1/encoders", json=made).status_code == 200
        video = {"prompt": "a meadow", "steps": 1, "frames": 1}
        job = server.client.post("/v1/videos", json=video).json()["id"]
        while_running = open_to_others(tmp_path / "data")
        assert wait_for(server.client, f"/v1/videos/{job}")["status"] == "completed"
        assert wait_for(server.client, "/v1/encoders/no-pogo")["status"] == "published"
        assert (tmp_path / "data" / "encoders").is_dir()
        assert (tmp_path / "data" / "records.sqlite-wal").exists()
        assert [*while_running, *open_to_others(tmp_path / "data")] == []
    finally:
        server.stop()


@pytest.mark.usefixtures("umask_022")
def test_the_command_line_keeps_the_data_private_and_the_users_files_as_usual(
    tmp_path: Path,
) -> None:
    code = """
import sys
from pathlib import Path
from cli import files
from cli.main import app
try:
    app(["keys", "create", "acme", "--role", "admin", "--data-dir", "data"])
except SystemExit:
    pass
files.create(Path("video.mp4"), b"mp4")
"""
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert open_to_others(tmp_path / "data") == []
    assert stat.S_IMODE((tmp_path / "video.mp4").stat().st_mode) == 0o644
