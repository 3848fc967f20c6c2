"""The Bento holds what it needs, and serves a video where only its requirements are installed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.packaging.help import ROOT, runtime_files
from video.clip import decode_mp4, read_provenance


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a Bento from this checkout and return its directory."""
    home = tmp_path_factory.mktemp("bentoml")
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build"],
        cwd=ROOT,
        env=os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"},
        check=True,
        timeout=300,
    )
    return next((home / "bentos" / "palimpsest").glob("*/bento.yaml")).parent


@contextmanager
def served(python: Path, bento: Path, data: Path) -> Generator[httpx.Client]:
    """Serve the Bento with another environment's Python; the block begins when it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env = ours | {
        "PALIMPSEST_PORT": str(port),
        "PALIMPSEST_DATA_DIR": str(data / "palimpsest"),
        "BENTOML_HOME": str(data / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    command = [str(python), "-m", "bentoml", "serve", str(bento), "--port", str(port)]
    process = subprocess.Popen(command, cwd=data, env=env)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            deadline = time.monotonic() + 120
            while True:
                assert process.poll() is None, "the server stopped"
                assert time.monotonic() < deadline, "the server did not become ready"
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.5)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def test_the_bento_holds_what_the_server_needs_and_no_tests(bento: Path) -> None:
    names = {p.relative_to(bento / "src").as_posix() for p in (bento / "src").rglob("*")}
    needed = runtime_files("service.py", "cli")
    assert {"service.py", "server/api/app.py", "starter/weights/model_index.json"} <= needed
    assert not needed - names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    packages = {name.split("/")[0] for name in names}
    assert not packages & {"tests", "benchmarks", "docs", "demo.py", ".venv", "data"}
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_bento_serves_a_video_in_an_environment_of_its_own(bento: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    requirements = bento / "env/python/requirements.txt"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True, timeout=2000
    )
    with served(python, bento, tmp_path) as client:
        body = {"prompt": "pogo bouncing in a meadow", "seed": 1, "steps": 4}
        created = client.post("/v1/videos", json=body)
        assert created.status_code == 200, created.text
        video = created.json()
        deadline = time.monotonic() + 120
        while video["status"] in ("queued", "in_progress"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
            video = client.get(f"/v1/videos/{video['id']}").json()
        assert video["status"] == "completed", video["error"]
        mp4 = client.get(f"/v1/videos/{video['id']}/content").content
    assert len(decode_mp4(mp4)) == 12
    assert read_provenance(mp4)["seed"] == 1
