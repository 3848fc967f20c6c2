"""Server processes for a benchmark: Palimpsest's and the baselines', each alive for one block."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from benchmarks.serving.baseline_servers import Strategy

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
_LIBC = ctypes.CDLL(None)  # loaded here: a process that has just forked must not
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@contextmanager
def ours(
    data: Path, threads: int, *, answers: str = "readyz", **settings: object
) -> Generator[str]:
    """Start Palimpsest's server as users do, and stop it when the block ends.

    Args:
        data: the server's data folder, with its store of encoders.
        threads: CPU threads of the server.
        answers: the path that has to answer 200 before the block begins.
        settings: further settings of the server, by their names in lower case.

    Yields:
        The server's address.
    """
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "service:Palimpsest"]
    variables = {
        "BENTOML_HOME": str(data / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PALIMPSEST_PORT": str(port),
        "PALIMPSEST_DATA_DIR": str(data),
        "PALIMPSEST_THREADS": str(threads),
        "PALIMPSEST_DTYPE": "float32",
        **{f"PALIMPSEST_{name.upper()}": str(value) for name, value in settings.items()},
    }
    url = f"http://127.0.0.1:{port}"
    with process(command, variables, data / "server.log"):
        wait(f"{url}/{answers}")
        yield url


@contextmanager
def baseline(strategy: Strategy, encoders: Path, threads: int, log: Path) -> Generator[str]:
    """Start a baseline server, and stop it when the block ends.

    Args:
        strategy: how the server switches text encoders.
        encoders: a folder with one directory per whole text encoder.
        threads: CPU threads of the server.
        log: the file for the server's output.

    Yields:
        The server's address.
    """
    port = free_port()
    module = "benchmarks.serving.baseline_servers"
    command = [sys.executable, "-m", module, strategy, str(encoders), str(port), str(threads)]
    url = f"http://127.0.0.1:{port}"
    with process(command, {}, log):
        wait(f"{url}/ready")
        yield url


def wait(address: str) -> float:
    """Wait until the address answers 200, and return the seconds that it took.

    Raises:
        RuntimeError: no such answer within `START_TIMEOUT_S`.
    """
    began = perf_counter()
    while perf_counter() - began < START_TIMEOUT_S:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return perf_counter() - began
        except httpx.TransportError:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"{address} did not answer in {START_TIMEOUT_S} s")


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def process(
    command: list[str], variables: Mapping[str, str], log: Path
) -> Generator[subprocess.Popen[bytes]]:
    """Run a command in a process group that ends with the block, or with this process.

    Args:
        command: program and arguments, run in the project's root.
        variables: environment variables, added to this process's own.
        log: the file that the output is appended to.

    Yields:
        The running process.
    """
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_stop_with_parent,
        )
        try:
            yield server
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(STOP_TIMEOUT_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # workers that outlived the server
            server.wait()


def _stop_with_parent() -> None:
    """Ask Linux, in the new process, for SIGTERM when the benchmark ends, even if it is killed."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
