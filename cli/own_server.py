"""A server of a command's own: started on a free port, and stopped when the command ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cli.client import Client, Refused, Unreachable, api_path, client_of
from cli.configuration import SERVE, server_environment
from cli.errors import CommandFailed
from server.parent_watchdog import announce_parent
from server.storage.private_files import private

START_TIMEOUT_S = 120
"""Seconds until the server has its data directory. Then a large model may load for longer."""
_STOP_TIMEOUT_S = 30
_POLL_INTERVAL_S = 0.25


@contextmanager
def own_server(data: Path, log: Path) -> Generator[Client]:
    """Start a server, yield a client of it once it is ready, and stop it at the end.

    The server has this process's environment, but a port of its own on the loopback interface. It
    ends with this process, even if this process is killed.

    Args:
        data: The server's data directory.
        log: File for the server's output. A file that exists is replaced.

    Raises:
        CommandFailed: The server does not start, or cannot load its model.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    announce_parent()
    environment = server_environment(host="127.0.0.1", port=port, data_dir=data)
    environment["BENTOML_HOME"] = str(data.absolute() / "bentoml")
    environment["PALIMPSEST_DRAIN_SECONDS"] = "0"  # nobody else asks this server
    environment["PALIMPSEST_DEVICES"] = ""
    with private():
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        output = log.open("wb")
    with output:
        # A session of its own: Ctrl-C must not stop it before this process has cancelled its job.
        process = subprocess.Popen(
            SERVE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with client_of(f"http://127.0.0.1:{port}", is_local=True) as client:
            _wait_ready(client, process, data, log)
            yield client
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _reason(client: Client) -> str:
    """Return why the server failed to load, as far as it says so to a caller."""
    try:
        client.get(api_path("models"))
    except Refused as error:
        if any(words in str(error) for words in ("data cannot be used", "keys cannot be read")):
            return str(error)
    return "The server cannot load its model."


def _wait_ready(client: Client, process: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    from server.storage.lock import DataLock

    lock = DataLock(data)
    give_up = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None:
        try:
            state = client.state()
        except Unreachable:  # the port is not open yet
            state = None
        if state == "ready":
            return
        if state == "load_failed":
            raise CommandFailed(f"{_reason(client)} Its log says why: {log}")
        # The model may load as long as it takes, but an answer alone does not say that it loads.
        if time.monotonic() > give_up and (state is None or lock.holder().url != client.url):
            break
        time.sleep(_POLL_INTERVAL_S)
    lines = log.read_text(errors="replace").strip().splitlines()
    last = f" It said last: {lines[-1]}" if lines else ""
    raise CommandFailed(f"The server does not start; its log is {log}.{last}")
