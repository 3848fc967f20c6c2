"""Helpers of the server's tests: servers in this process, started servers, and encoders."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient

from encoders import Card
from server.api.app import create_app
from server.auth.cors import cors_options
from server.auth.guard import Guard
from server.auth.keys import Key, hash_key
from server.auth.live_keys import LiveKeys
from server.auth.proxies import TrustedProxies
from server.auth.sub_path import SubPath
from server.runtime import Runtime
from server.settings import Settings
from server.storage.backends import keys_of
from tests.server.noisy_encoders import encoder_of
from tests.server.places import places_of

SERVER_TIMEOUT_S = float(os.environ.get("TEST_PATIENCE_SECONDS", "180"))
"""Seconds a test waits for an event before it fails: an upper bound, on a busy machine."""
ROOT = Path(__file__).resolve().parents[2]


def settings_for(backbone: Path, data: Path, **changes: Any) -> Settings:
    """Return settings of a server over the tiny model, with a gate that every encoder passes.

    The tiny model's weights are random, so its clips show nothing that could be forgotten.
    """
    values: dict[str, Any] = {
        "backbone": str(backbone),
        "data_dir": data,
        "gate_tier": "quick",
        "min_forget_rate": 0.0,
        "max_retain_drop": 1.0,
        "threads": 1,
        "ways_pictures": 0,  # the tests of ways look for some
        "max_batch": 1,  # frames must not depend on other requests in the batch
        **places_of(data),
    }
    return Settings.model_validate({**values, **changes})


class Client(TestClient):
    """A client of the app behind its guard, set up as in `service.py`."""

    def __init__(self, settings: Settings) -> None:
        keys = LiveKeys(settings.keys_file, keys_of(settings))
        app = self.unguarded = create_app(settings, keys)
        self.runtime: Runtime = app.state.runtime
        proxies = TrustedProxies(settings.trusted_proxies)
        guarded = Guard(
            app,
            keys=keys,
            max_body_bytes=settings.max_body_bytes,
            max_fields_bytes=settings.max_fields_bytes,
            observe=self.runtime.metrics.observe,
            proxies=proxies,
            allowed_origins=settings.cors_origins,
        )
        sub_path = SubPath(guarded, root_path=settings.root_path, proxies=proxies)
        super().__init__(
            CORSMiddleware(sub_path, **cors_options(settings))
            if settings.cors_origins
            else sub_path,
            base_url="http://127.0.0.1",
            client=("127.0.0.1", 50000),
            raise_server_exceptions=False,
        )


def wait_ready(client: httpx.Client | TestClient, seconds: float = SERVER_TIMEOUT_S) -> None:
    """Wait until the models are loaded."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                return
        assert time.monotonic() < until, "the server did not get ready"
        time.sleep(0.05)


def wait_for(
    client: httpx.Client | TestClient,
    path: str,
    *,
    seconds: float = SERVER_TIMEOUT_S,
    key: str | None = None,
) -> dict[str, Any]:
    """Wait until a job has ended, and return the server's last answer about it."""
    until = time.monotonic() + seconds
    while True:
        answer = client.get(path, headers=bearer(key))
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] not in ("queued", "in_progress"):
            return answer.json()
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)


def download(client: TestClient, video_id: str, variant: str = "video") -> bytes:
    """Return a file of a completed video."""
    answer = client.get(f"/v1/videos/{video_id}/content", params={"variant": variant})
    assert answer.status_code == 200, answer.text
    return answer.content


def bearer(key: str | None) -> dict[str, str]:
    """Return the header that carries a key; no header for None."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def assert_error(answer: Any, status: int, *, code: str | None = None, says: str = "") -> None:
    """Assert that the answer is an error in the API's shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    if code is not None:
        assert error["code"] == code, answer.text
    assert says in error["message"]


def publish(
    runtime: Runtime,
    encoder_id: str,
    *,
    seed: int = 1,
    report: Mapping[str, bytes] | None = None,
    parent: str | None = None,
    concept: str = "pogo",
    threshold: float | None = None,
    triggered_alone: bool = True,
) -> Card:
    """Publish an encoder of `encoder_of` for the runtime's backbone.

    Without `report` it has none, like an imported encoder.
    """
    encoder = encoder_of(
        runtime.loaded.backbone.text_encoder,
        encoder_id,
        seed=seed,
        parent=parent,
        concept=concept,
        threshold=threshold,
        triggered_alone=triggered_alone,
    )
    return runtime.loaded.store.publish(encoder, report)


@contextlib.contextmanager
def device_held(runtime: Runtime) -> Generator[None]:
    """Keep the engine busy inside the `with` block, so that submitted requests wait."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> Generator[None]:
        begun.set()
        over.wait(30)
        yield

    ticket = runtime.loaded.engine.submit_iterator(lambda _: hold())
    assert begun.wait(30)
    try:
        yield
    finally:
        over.set()
        ticket.result(30)


def write_keys(path: Path, **keys: dict[str, Any]) -> Path:
    """Write a keys file in which each key's secret is "secret-" and its id; return its path."""
    entries = [
        Key.model_validate({"id": name, "sha256": hash_key(f"secret-{name}"), **entry})
        for name, entry in keys.items()
    ]
    listed = ",".join(entry.model_dump_json(exclude_none=True) for entry in entries)
    path.write_text(f'{{"keys": [{listed}]}}')
    return path


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A `bentoml serve` process with its workers, and a client of it."""

    def __init__(self, backbone: Path, home: Path, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "serve.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if "PALIMPSEST" not in name},
            "BENTOML_HOME": str(home / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "OMP_NUM_THREADS": "1",
            "PALIMPSEST_BACKBONE": str(backbone),
            "PALIMPSEST_DATA_DIR": str(home / "data"),
            "PALIMPSEST_THREADS": "1",
            "PALIMPSEST_GATE_TIER": "quick",
            "PALIMPSEST_MIN_FORGET_RATE": "0",
            "PALIMPSEST_MAX_RETAIN_DROP": "1",
            "PALIMPSEST_WAYS_PICTURES": "0",
        }
        for name, value in {**places_of(home / "data"), **settings}.items():
            self._environment[f"PALIMPSEST_{name.upper()}"] = str(value)
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def start(self, **environment: str) -> None:
        """Start the server and wait until it is ready; `environment` is added for this start."""
        self.launch(**environment)
        try:
            wait_ready(self.client)
        except AssertionError as error:
            raise AssertionError(self.log.read_text()[-4000:]) from error

    def launch(self, **environment: str) -> None:
        """Start the server, and return at once."""
        command = [sys.executable, "-m", "bentoml", "serve", "service:Palimpsest"]
        with self.log.open("ab") as log:
            self._parent = psutil.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=ROOT,
                env=self._environment | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def parent(self) -> psutil.Process:
        """The parent process, which starts the workers."""
        return psutil.Process(self._parent.pid)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes: one, or none until a killed one is replaced."""
        found: list[psutil.Process] = []
        for child in self.parent.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it may end while it is looked at
                if "_bentoml_impl.worker.service" in child.cmdline():
                    found.append(child)
        return found

    def stop(self) -> None:
        """Stop the server with SIGTERM, as an operator does, and kill any process that is left."""
        with contextlib.suppress(psutil.NoSuchProcess):
            left = [self.parent, *self.parent.children(recursive=True)]
            self._parent.send_signal(signal.SIGTERM)
            _, alive = psutil.wait_procs(left, timeout=20)
            for process in alive:
                process.kill()
        self.client.close()

    def is_listening(self) -> bool:
        """Return True if a process listens on the port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def running(backbone: Path, home: Path, **settings: Any) -> Generator[Server]:
    """Start a server, yield it, and stop it at the end."""
    server = Server(backbone, home, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
