"""A server of the fault benchmark: started as users do, killed, and started again on its port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import psutil

from benchmarks.serving.servers import ROOT, free_port

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 45.0
JOB_TIMEOUT_S = 300.0
_WORKER = "_bentoml_impl.worker.service"


class Served:
    """A `bentoml serve` process and its worker, over one data directory.

    `service` is what BentoML serves, and `variables` are its environment's: both may be changed
    before the start.

    Args:
        data: the data directory.
        home: folder of the log and of BentoML's own files.
        descriptors: how many the server may have open; None: as many as this process.
        settings: settings of the server, by their names in lower case.
    """

    def __init__(
        self,
        data: Path,
        home: Path,
        *,
        descriptors: int | None = None,
        **settings: object,
    ) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.log = home / "server.log"
        self._descriptors = descriptors
        self.service = "service:Palimpsest"
        self.variables = {
            **{name: value for name, value in os.environ.items() if "PALIMPSEST" not in name},
            "BENTOML_HOME": str(home / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "PALIMPSEST_PORT": str(self.port),
            "PALIMPSEST_DATA_DIR": str(data),
            "PALIMPSEST_DTYPE": "float32",
            **{f"PALIMPSEST_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._parent: psutil.Popen | None = None

    def start(self) -> None:
        """Start the server, and return at once."""
        command = [sys.executable, "-m", "bentoml", "serve", self.service]
        if self._descriptors is not None:
            command = ["prlimit", f"--nofile={self._descriptors}", "--", *command]
        with self.log.open("ab") as log:
            self._parent = psutil.Popen(
                command,
                cwd=ROOT,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> float:
        """Wait until the models are loaded, and return the seconds that it took.

        Raises:
            RuntimeError: they are not loaded in time.
        """
        began = perf_counter()
        while perf_counter() - began < timeout_s:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return perf_counter() - began
            time.sleep(0.1)
        raise RuntimeError(f"not ready in {timeout_s} s: {self.log.read_text()[-2000:]}")

    @property
    def parent(self) -> psutil.Popen:
        """The process that was started. Raises RuntimeError before the start."""
        if self._parent is None:
            raise RuntimeError("the server was not started")
        return self._parent

    def worker(self) -> psutil.Process | None:
        """Return the worker process, or None while there is none."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in self.parent.children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it may end while it is looked at
                    if _WORKER in child.cmdline():
                        return child
        return None

    def is_running(self) -> bool:
        """Return True while the parent process runs."""
        return self.parent.poll() is None

    def kill_parent(self) -> None:
        """Kill the parent with SIGKILL, and wait until its worker has gone too."""
        worker = self.worker()
        self.parent.kill()
        self.parent.wait()
        if worker is not None:
            psutil.wait_procs([worker], timeout=STOP_TIMEOUT_S)

    def stop(self) -> float:
        """Stop the server with SIGTERM, and return the seconds until every process has gone."""
        began = perf_counter()
        with contextlib.suppress(psutil.NoSuchProcess):
            left = [self.parent, *self.parent.children(recursive=True)]
            self.parent.send_signal(signal.SIGTERM)
            _, alive = psutil.wait_procs(left, timeout=STOP_TIMEOUT_S)
            for process in alive:
                process.kill()
        return perf_counter() - began


@contextmanager
def served(
    data: Path, home: Path, *, descriptors: int | None = None, **settings: object
) -> Generator[Served]:
    """Start a server, yield it once it is ready, and stop it when the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    server = Served(data, home, descriptors=descriptors, **settings)
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.stop()


def call(
    url: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> httpx.Response:
    """Send one request on a connection of its own."""
    sent = dict(headers or {})
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    return httpx.request(method, url + path, json=body, headers=sent, timeout=timeout)


def patient(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Send a request again, after its Retry-After, while a limit is reached."""
    while (answer := send()).status_code == 429:
        time.sleep(float(answer.headers.get("retry-after", "1")))
    return answer


def asked(
    server: Served,
    method: str,
    path: str,
    key: str | None = None,
    body: Mapping[str, Any] | None = None,
) -> httpx.Response:
    """Send a request that has to succeed.

    Raises:
        RuntimeError: it did not.
    """
    secret = None if key is None else f"secret-{key}"
    answer = patient(lambda: call(server.url, method, path, body, key=secret))
    if not answer.is_success:
        raise RuntimeError(f"{method} {path} as {key}: {answer.status_code} {answer.text[:300]}")
    return answer


def wait_ended(server: Served, video: str, key: str | None = None) -> dict[str, Any]:
    """Wait until a video has ended, and return the last answer about it.

    Raises:
        RuntimeError: it has not ended in time.
    """
    until = perf_counter() + JOB_TIMEOUT_S
    while perf_counter() < until:
        state = asked(server, "GET", f"/v1/videos/{video}", key).json()
        if state["status"] not in ("queued", "in_progress"):
            return state
        time.sleep(0.1)
    raise RuntimeError(f"{video} has not ended in {JOB_TIMEOUT_S} s")


def resident_mib(process: psutil.Process) -> int:
    """Return the resident memory of a process, in MiB."""
    return process.memory_info().rss >> 20


def peak_mib(process: psutil.Process) -> int:
    """Return the largest resident memory that a process has had, in MiB (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10
