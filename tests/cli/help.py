"""Run commands: in this process, or in a process of their own where a test needs one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import httpx
import psutil
import uvicorn
from typer.testing import CliRunner

from cli.main import app
from server.auth.guard import Guard
from server.runtime import Runtime
from tests.server.help import ROOT, SERVER_TIMEOUT_S, free_port


@dataclass(frozen=True)
class RunningServer:
    """The server that the tests share."""

    url: str
    locked: str
    """Address of the same server where a key is required: `secret-boss`."""
    runtime: Runtime

    @cached_property
    def client(self) -> httpx.Client:
        """HTTP client of the server."""
        return httpx.Client(base_url=self.url, timeout=30)

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON at a path."""
        return self.client.get(path).raise_for_status().json()


@dataclass(frozen=True)
class CommandResult:
    """Exit status and output of a command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Parsed stdout, all of which has to be JSON."""
        return json.loads(self.out)

    def assert_failed(self, *says: str) -> None:
        """Assert exit status 1, and one line on stderr that contains all of `says`."""
        assert self.status == 1, self
        [line] = self.err.splitlines()
        assert "Traceback" not in self.out
        for words in says:
            assert words in line


def palimpsest(*arguments: object, server: str | None = None, **environment: str) -> CommandResult:
    """Run a command in this process; an unexpected exception is raised."""
    if server is not None:
        environment["PALIMPSEST_SERVER"] = server
    result = CliRunner().invoke(app, [str(one) for one in arguments], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return CommandResult(result.exit_code, result.stdout, result.stderr)


class Command:
    """A running command, in a process of its own."""

    def __init__(
        self, *arguments: object, stdin: int | None = None, stderr: int | None = None, **env: object
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **{k: str(v) for k, v in env.items()}},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if stderr is None else stderr,
            text=True,
        )

    def done(self) -> CommandResult:
        """Wait until it has ended, and return its result."""
        out, err = self.process.communicate(timeout=SERVER_TIMEOUT_S)
        return CommandResult(self.process.returncode, out, err or "")


def wait_until(condition: Callable[[], Any]) -> Any:
    """Return the result of `condition` once it is truthy."""
    end = time.monotonic() + SERVER_TIMEOUT_S
    while not (found := condition()):
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.05)
    return found


@contextmanager
def serve_in_thread(door: Guard, lifespan: Literal["auto", "off"] = "auto") -> Generator[str]:
    """Serve an app in a thread of this process, and yield its address."""
    port = free_port()
    config = uvicorn.Config(door, port=port, lifespan=lifespan, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def processes_on(data: Path) -> list[psutil.Process]:
    """Return every process that has this data directory in its environment."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PALIMPSEST_DATA_DIR") == str(data):
                found.append(process)
        except psutil.Error:  # of another user, or ended meanwhile
            continue
    return found
