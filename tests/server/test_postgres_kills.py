"""Kills of the worker, and of PostgreSQL: every accepted job ends once, and none fails for it."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.postgres_server import PASSWORD, PostgresServer, create_database
from tests.server.help import (
    Client,
    assert_error,
    device_held,
    running,
    settings_for,
    wait_for,
    wait_ready,
)
from tests.server.test_dispatcher import QUICK, begun
from tests.server.test_kills import SETTINGS, assert_all_done, look, reached, submit, until


@pytest.fixture
def postgres() -> Generator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.mark.slow
def test_jobs_survive_kills_of_the_worker_and_of_postgresql(
    quick_backbone_dir: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    url = create_database(postgres.port, "palimpsest")
    with running(quick_backbone_dir, tmp_path, database=url, **SETTINGS) as server:
        videos = submit(server)
        until(lambda: look(server, f"/v1/videos/{videos[0]}")["progress"] > 0, "no video began")
        (worker,) = server.workers()
        worker.kill()
        until(lambda: [w for w in server.workers() if w.pid != worker.pid], "no new worker")
        postgres.stop()
        time.sleep(3)
        postgres.start()
        wait_ready(server.client)
        until(lambda: reached(server, "optimising"), "the encoder does not go on")
        postgres.stop()
        (worker,) = server.workers()
        worker.kill()
        until(lambda: [w for w in server.workers() if w.pid != worker.pid], "no new worker")
        assert server.client.get("/livez").status_code == 200
        assert server.client.get("/readyz").status_code == 503
        postgres.start()
        wait_ready(server.client)
        assert_all_done(server, videos)
        log = server.log.read_text()
        assert PASSWORD not in log
        assert "s3cret" not in log
    assert list((tmp_path / "data").glob("*.sqlite*")) == []


@pytest.mark.slow
def test_a_server_stops_and_starts_while_postgresql_is_away(
    quick_backbone_dir: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    url = create_database(postgres.port, "palimpsest")
    settings = settings_for(quick_backbone_dir, tmp_path / "data", database=url)
    with Client(settings) as client:
        wait_ready(client)
        owners = begun(client)
        with device_held(client.runtime):
            video = client.post("/v1/videos", json=QUICK).json()["id"]
            until(lambda: owners, "the video was not begun")
            postgres.stop()
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 10
    with Client(settings) as client:
        assert_error(client.get("/health"), 503, code="loading")
        postgres.start()
        wait_ready(client)
        assert wait_for(client, f"/v1/videos/{video}")["status"] == "completed"
