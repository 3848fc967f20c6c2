"""A server that cannot start is one line and exit status 1, whichever command starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from server.start_checks import StartRefused, check_address, check_data_dir
from tests.server.help import ROOT, SERVER_TIMEOUT_S, Server, free_port, running

BENTOML = ("-m", "bentoml", "serve", "service:Palimpsest")
PALIMPSEST = ("-m", "cli", "serve")


class Start:
    """A server that is started, and is expected to end by itself."""

    def __init__(self, *command: str, **settings: Any) -> None:
        clean = {name: value for name, value in os.environ.items() if "PALIMPSEST" not in name}
        given = {f"PALIMPSEST_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**clean, "BENTOML_DO_NOT_TRACK": "True", **given},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def assert_refused(self, *says: str) -> None:
        """Assert exit status 1, and one line on stderr that contains all of `says`."""
        _, err = self.process.communicate(timeout=SERVER_TIMEOUT_S)
        assert self.process.returncode == 1, err
        [line] = err.splitlines()
        for words in says:
            assert words in line


@pytest.fixture(scope="module")
def server(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    with running(quick_backbone_dir, tmp_path_factory.mktemp("server"), drain_seconds=0) as server:
        yield server


@pytest.fixture
def taken() -> Generator[int]:
    """Yield a port that a program listens on which is no Palimpsest server."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_cannot_start_says_why_in_one_line(
    server: Server, taken: int, tmp_path: Path
) -> None:
    in_use, data, port = server.log.parent / "data", tmp_path / "data", free_port()
    holder = f"in use by the server at {server.url} (process {server.parent.pid})"
    refused = [
        (Start(*BENTOML, data_dir=in_use, port=port), (str(in_use), holder, "--server http")),
        (Start(*PALIMPSEST, data_dir=in_use, port=port), (str(in_use), holder, "--server http")),
        (Start(*BENTOML, data_dir=data, port=taken), (f"Port {taken} of 127.0.0.1 is in use",)),
        (Start(*BENTOML, data_dir=data, max_steps="many"), ("PALIMPSEST_MAX_STEPS", "'many'")),
        (Start(*BENTOML, data_dir=data, keys_file="none.json"), ("none.json", "No such file")),
    ]
    for start, says in refused:
        start.assert_refused(*says)
    assert server.client.get("/health").status_code == 200


def test_a_data_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("link")
    for wrong in (tmp_path / "file", tmp_path / "file/data", tmp_path / "link", Path("/proc/none")):
        with pytest.raises(StartRefused, match=f"{wrong} cannot be made.*PALIMPSEST_DATA_DIR"):
            check_data_dir(wrong)
    check_data_dir(tmp_path / "new/data")
    (tmp_path / "locked/server.lock").mkdir(parents=True)
    with pytest.raises(StartRefused, match=r"locked cannot be written"):
        check_data_dir(tmp_path / "locked")


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("192.0.2.7", 3000, "192.0.2.7, port 3000.*PALIMPSEST_HOST"),
        ("2001:db8::7", 3000, "2001:db8::7, port 3000.*PALIMPSEST_HOST"),
        ("here", 3000, "'here' is not an IP address"),
        ("127.0.0.1", 99999, "99999.*PALIMPSEST_PORT"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_refused(host: str, port: int, says: str) -> None:
    with pytest.raises(StartRefused, match=says):
        check_address(host, port)


def test_a_port_that_is_being_closed_is_waited_for(taken: int) -> None:
    with pytest.raises(StartRefused, match=f"Port {taken}"):
        check_address("127.0.0.1", taken)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    threading.Timer(0.5, listener.close).start()
    check_address("127.0.0.1", port)


def test_a_worker_that_finds_the_data_in_use_ends_its_parent(
    server: Server, tmp_path: Path
) -> None:
    """The parent's check was in time, and another server was quicker than its worker."""
    in_use = server.log.parent / "data"
    program = (
        "import sys, server.start_checks as checks; checks.check_data_dir = lambda *_, **__: None; "
        f"sys.argv = ['bentoml', 'serve', 'service:Palimpsest', '--port', '{free_port()}']; "
        "from bentoml_cli.cli import cli; cli()"
    )
    start = Start("-c", program, data_dir=in_use, bentoml_home=tmp_path)
    _, err = start.process.communicate(timeout=SERVER_TIMEOUT_S)
    assert start.process.returncode == 1, err
    assert [line for line in err.splitlines() if f"in use by the server at {server.url}" in line]
    assert "Traceback" not in err
    assert err.count("in use") == 1


def test_a_server_waits_for_one_that_is_stopping_and_says_so(tmp_path: Path) -> None:
    environment = {"data_dir": tmp_path / "data", "drain_seconds": 4, "stop_seconds": 1}
    with ExitStack() as stack:
        port = free_port()
        first = Start(*BENTOML, **environment, port=port)
        stack.callback(first.process.kill)
        wait_until_locked(tmp_path / "data/server.lock", first.process)
        first.process.terminate()
        second = Start(*BENTOML, **environment, port=port)
        stack.callback(second.process.kill)
        wait_until_locked(tmp_path / "data/server.lock", second.process)
        second.process.terminate()
        _, err = second.process.communicate(timeout=SERVER_TIMEOUT_S)
        assert f"Waiting for the server at http://127.0.0.1:{port}" in err.splitlines()[0]
        assert first.process.wait(SERVER_TIMEOUT_S) == 0
        assert second.process.returncode == 0, err


def wait_until_locked(lock: Path, server: subprocess.Popen[str]) -> None:
    """Wait until this server holds its data directory."""
    until = time.monotonic() + SERVER_TIMEOUT_S
    while not (lock.is_file() and f'"pid": {server.pid},' in lock.read_text()):
        assert time.monotonic() < until
        assert server.poll() is None, server.communicate()[1]
        time.sleep(0.05)
