"""Servers that commands start, `serve` and a command's own, as real processes."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from cli import own_server
from server.storage.lock import DataLock, Holder
from tests.cli.help import Command, palimpsest, processes_on, wait_until
from tests.server.help import SERVER_TIMEOUT_S, free_port, wait_ready
from video.clip import read_provenance


def settings(backbone: Path, data: Path) -> dict[str, str]:
    """Return the environment of a command whose own server starts quickly."""
    return {
        "PALIMPSEST_BACKBONE": str(backbone),
        "PALIMPSEST_DATA_DIR": str(data),
        "PALIMPSEST_PORT": str(free_port()),
        "PALIMPSEST_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def test_serve_serves_from_anywhere_and_is_found_by_other_commands(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    Path("model").symlink_to(quick_backbone_dir)
    port = free_port()
    options = ("--backbone", "model", "--port", port, "--data-dir", "kept", "--dtype", "float32")
    command = Command("serve", *options, "--host", "127.0.0.1", OMP_NUM_THREADS="1")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_ready(client)
            assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["model"]
        assert (tmp_path / "kept/records.sqlite").is_file()
        assert (tmp_path / "kept/bentoml").is_dir()
        done = palimpsest("generate", "a meadow", "--json", PALIMPSEST_PORT=str(port))
        assert (done.status, done.err) == (0, "")
        assert done.json["provenance"]["dtype"] == "float32"
        started = [command.process.pid, *_descendants(command.process.pid)]
    finally:
        command.process.send_signal(signal.SIGTERM)
        command.done()
    assert not any(map(psutil.pid_exists, started))


def _descendants(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_serve_refuses_settings_that_cannot_be() -> None:
    done = palimpsest("serve", "--dtype", "int3")
    assert done.status == 2
    assert "--dtype" in done.err
    palimpsest("serve", PALIMPSEST_MAX_STEPS="none").assert_failed(
        "PALIMPSEST_MAX_STEPS cannot be used"
    )


def test_a_command_starts_a_server_where_there_is_none_and_stops_it(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    command = Command("generate", "a meadow", "--json", **settings(quick_backbone_dir, data))
    done = command.done()
    assert done.status == 0, done
    assert done.err.startswith("No server at http://127.0.0.1:")
    assert "starting one for this command" in done.err
    assert (
        read_provenance(Path(json.loads(done.out)["file"]).read_bytes())["encoder_identity"] is None
    )
    assert (data / "records.sqlite").is_file()
    assert not processes_on(data)


def test_a_command_that_is_killed_takes_its_server_with_it(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    words = ("unlearn", "pogo", "--kind", "character", "--setting", "steps=1000")
    command = Command(*words, **settings(quick_backbone_dir, data))
    # The command itself, the server's parent process, and the one that serves.
    started = wait_until(lambda: len(found := processes_on(data)) > 2 and found)
    command.process.kill()
    command.done()
    assert not psutil.wait_procs(started, timeout=SERVER_TIMEOUT_S)[1]
    assert not processes_on(data)


ANSWERS = """
import http.server, json, os

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
        self.wfile.write(json.dumps({"error": {"code": "load_failed"}}).encode())

address = ("127.0.0.1", int(os.environ["PALIMPSEST_PORT"]))
http.server.HTTPServer(address, Health).serve_forever()
"""


def test_a_command_says_which_server_has_its_data(tmp_path: Path) -> None:
    lock = DataLock(tmp_path / "data")
    (tmp_path / "data").mkdir()
    lock.take(Holder(123, "http://127.0.0.1:3210"))
    elsewhere = {"PALIMPSEST_PORT": str(free_port())}
    palimpsest("encoders", "list", **elsewhere).assert_failed(
        "data is in use by the server at http://127.0.0.1:3210 (process 123)",
        "--server http://127.0.0.1:3210",
    )
    palimpsest("serve", **elsewhere).assert_failed("(process 123)", "PALIMPSEST_DATA_DIR")
    lock.release()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (ANSWERS, "The server cannot load its model. Its log says why: data/server.log"),
        (
            ANSWERS.replace("load_failed", "loading"),  # of a server that never gets its data
            "The server does not start; its log is data/server.log.",
        ),
        ("print(1); exit('no port')", "its log is data/server.log. It said last: no port"),
        ("import time; time.sleep(600)", "The server does not start; its log is data/server.log."),
    ],
)
def test_a_server_that_does_not_come_up_is_one_line_and_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, says: str
) -> None:
    monkeypatch.setattr(own_server, "SERVE", [sys.executable, "-c", program])
    monkeypatch.setattr(own_server, "START_TIMEOUT_S", 1)
    monkeypatch.setenv("PALIMPSEST_PARENT_PID", "0")  # which the command changes
    done = palimpsest("encoders", "list", PALIMPSEST_PORT=str(free_port()))
    assert (done.status, done.out) == (1, "")
    _, line = done.err.splitlines()
    assert says in line
    assert not processes_on(tmp_path / "data")


@pytest.mark.parametrize(
    ("database", "says"),
    [("jobs.sqlite", "move this file away"), ("records.sqlite", "database is damaged")],
)
def test_a_server_over_a_broken_database_is_one_line_with_the_remedy(
    quick_backbone_dir: Path, tmp_path: Path, database: str, says: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / database).write_bytes(b"not a database" * 99)
    command = Command("encoders", "list", **settings(quick_backbone_dir, data))
    done = command.done()
    assert done.status == 1
    assert says in done.err
    assert f"Its log says why: {data / 'server.log'}" in done.err
    assert "Traceback" not in done.err
