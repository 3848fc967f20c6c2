"""Servers for the tests: in this process over the tiny model, and really started ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.guard import Guard
from server.runtime import Runtime
from server.settings import Settings

MakeClient = Callable[..., TestClient]


def settings_for(backbone: Path, data: Path, **changes: Any) -> Settings:
    """Settings of a server over the tiny model, with a gate that lets every encoder through: a
    random model shows nothing, so there is nothing to forget."""
    values: dict[str, Any] = {
        "backbone": str(backbone),
        "data_dir": data,
        "min_forget_rate": 0.0,
        "max_retain_drop": 1.0,
        "threads": 1,
    }
    return Settings.model_validate({**values, **changes})


def wait_ready(client: TestClient, seconds: float = 60) -> None:
    """Wait until the models are loaded."""
    until = time.monotonic() + seconds
    while client.get("/health").status_code != 200:
        assert time.monotonic() < until, client.get("/health").text
        time.sleep(0.05)


def wait_for(client: TestClient, path: str, seconds: float = 60, **headers: str) -> dict[str, Any]:
    """Wait until a job has ended, and return what the server says of it."""
    until = time.monotonic() + seconds
    while True:
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] not in ("queued", "in_progress"):
            return answer.json()
        assert time.monotonic() < until, answer.text
        time.sleep(0.02)


def client_of(settings: Settings) -> TestClient:
    """A client of the app behind its guard, as the service puts them together."""
    app = create_app(settings)
    client = TestClient(
        Guard(app, **app.state.guard),
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 50000),
        raise_server_exceptions=False,
    )
    client.app_state = {"runtime": app.state.runtime}
    return client


def runtime_behind(client: TestClient) -> Runtime:
    """The runtime of the server that ``client_of`` made."""
    return client.app_state["runtime"]


@pytest.fixture(scope="module")
def make_client(
    tiny_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeClient]:
    """Starts a server in this process, ready to be asked. One at a time: DBOS is one a process."""
    with ExitStack() as stack:

        def make(**changes: Any) -> TestClient:
            stack.close()
            data = changes.pop("data_dir", None) or tmp_path_factory.mktemp("data")
            client = client_of(settings_for(tiny_backbone_dir, data, **changes))
            stack.enter_context(client)
            wait_ready(client)
            return client

        yield make
