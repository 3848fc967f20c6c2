"""A server of one's own: started for the length of a command, on a free port, and stopped after."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cli.client import Client, Unreachable, client_of
from cli.configuration import SERVE, serving
from cli.errors import CommandFailed
from server.parent_watchdog import announce_parent

START_LIMIT_S = 120
"""In which it has to answer. Loading may take longer: a model can be large."""
_STOP_LIMIT_S = 30
_LOOK_EVERY_S = 0.25


@contextmanager
def own_server(data: Path, log: Path) -> Generator[Client]:
    """A client of a server of our own, which is ready; the server is stopped at the end.

    It has this process's environment, but its own port, on loopback. It ends with this process,
    even with one that is killed.

    Args:
        data: the server's data directory.
        log: what the server says goes here, in place of what is there.

    Raises:
        CommandFailed: it does not start, or cannot load its model.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    announce_parent()
    environment = serving(host="127.0.0.1", port=port, data_dir=data)
    environment["BENTOML_HOME"] = str(data.absolute() / "bentoml")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        # A session of its own: Ctrl-C is for this process, which has yet to cancel its job there.
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
            _wait_ready(client, process, log)
            yield client
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _wait_ready(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    started = time.monotonic()
    has_answered = False
    while process.poll() is None:
        try:
            state = client.state()
        except Unreachable:  # the port is not open yet
            state = None
        if state == "ready":
            return
        if state == "load_failed":
            raise CommandFailed(f"The server cannot load its model. Its log says why: {log}")
        has_answered |= state is not None
        if not has_answered and time.monotonic() > started + START_LIMIT_S:
            break
        time.sleep(_LOOK_EVERY_S)
    said = log.read_text(errors="replace").strip().splitlines()
    last = f" It said last: {said[-1]}" if said else ""
    raise CommandFailed(f"The server does not start; its log is {log}.{last}")
