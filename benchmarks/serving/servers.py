"""Servers in processes of their own, ours and the others, for as long as a `with` lasts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import httpx

from benchmarks.serving.baseline_servers import Way

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 180.0


@contextmanager
def ours(
    data: Path, threads: int, *, answers: str = "readyz", **settings: object
) -> Generator[str]:
    """The address of a really started server of ours once it answers at `answers`; its store lies
    in `data`.
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
    with _process(command, variables, data / "server.log"):
        wait(f"{url}/{answers}")
        yield url


@contextmanager
def rival(way: Way, encoders: Path, threads: int, log: Path) -> Generator[str]:
    """The address of one of the others."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "benchmarks.serving.baseline_servers",
        way,
        str(encoders),
        str(port),
    ]
    url = f"http://127.0.0.1:{port}"
    with _process([*command, str(threads)], {}, log):
        wait(f"{url}/ready")
        yield url


def wait(address: str) -> float:
    """Seconds until the address answers with 200."""
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
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def _process(
    command: list[str], variables: Mapping[str, str], log: Path
) -> Generator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
