"""LazyApp: a process that answers before its app is imported."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from server import lazy_app
from server.api.app import create_app
from server.auth.guard import Guard
from server.auth.live_keys import LiveKeys
from server.lazy_app import LazyApp
from server.logs import ROOMS
from server.settings import Settings
from tests.server.help import SERVER_TIMEOUT_S, Client, assert_error, settings_for, wait_ready


def client_of(settings: Settings) -> tuple[LazyApp, TestClient]:
    served = LazyApp(settings)
    guard = Guard(
        served,
        keys=LiveKeys(None, list),
        max_body_bytes=settings.max_body_bytes,
        observe=served.observe,
    )
    client = TestClient(guard, base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    return served, client


def test_every_answer_is_503_until_the_app_is_there(
    tiny_backbone_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def create(settings: Settings, keys: LiveKeys | None) -> FastAPI:
        assert go.wait(SERVER_TIMEOUT_S)
        return create_app(settings, keys)

    monkeypatch.setattr(lazy_app, "_create", create)
    monkeypatch.setattr(lazy_app, "HOLD_S", 0.2)
    served, client = client_of(settings_for(tiny_backbone_dir, tmp_path))
    with client:
        for path in ("/health", "/v1/models", "/nope"):
            answer = client.get(path)
            assert_error(answer, 503, code="loading")
            assert answer.headers["retry-after"] == "2"
        assert not served.ready
        assert not gc.isenabled(), "no time is spent on garbage during a start"
        go.set()
        wait_ready(client)
        assert served.ready
        assert client.get("/v1/models").status_code == 200
        assert_error(client.get("/nope"), 404)
        runtime = served.runtime
        counted = client.get("/metrics").text
        assert 'route="/v1/models",status="200"} 1.0' in counted
    assert gc.isenabled()
    assert runtime.stopping.is_set()


def test_a_process_that_cannot_start_ends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BentoML's parent starts another, which may succeed."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: told.append(arguments))

    def create(_: Settings) -> FastAPI:
        raise OSError("no room")

    monkeypatch.setattr(lazy_app, "_create", create)
    monkeypatch.setattr(lazy_app, "HOLD_S", 0.2)
    _, client = client_of(Settings(data_dir=tmp_path))
    with client:
        until = time.monotonic() + SERVER_TIMEOUT_S
        while not told and time.monotonic() < until:
            time.sleep(0.01)
        assert told == [(os.getpid(), signal.SIGTERM)]
        assert_error(client.get("/v1/models"), 503)


def test_a_model_that_cannot_be_loaded_is_one_log_line_with_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for room in ROOMS:  # another test may have redirected the log lines
        logging.getLogger(room).propagate = True
    with Client(settings_for(tmp_path / "nowhere", tmp_path / "data")) as client:
        until = time.monotonic() + SERVER_TIMEOUT_S
        while client.runtime.load_error is None and time.monotonic() < until:
            time.sleep(0.05)
        assert_error(client.get("/v1/models"), 503, code="not_ready", says="is no model")
    # Only those of loading: a server that another test stopped may still log errors of its own.
    errors = [
        line
        for line in caplog.records
        if line.levelno >= logging.ERROR
        and line.name in ("server.model_source", "video.engine.engine")
    ]
    [said] = {line.getMessage() for line in errors}
    assert "is no model" in said
    assert not any(line.exc_info for line in errors)
