"""Databases that cannot be used: the server answers, and says what is wrong and what to do."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from benchmarks.faults.broken_databases import BREAKS, DATABASES, newer, run
from benchmarks.faults.earlier_data import SCHEMAS, restore
from server.settings import Settings
from server.storage import sqlite_file
from server.storage.data_directory import DataDirectory
from server.storage.sqlite_file import SqliteFile
from server.storage.storage_errors import DatabaseUnusable, StorageAway
from tests.server.help import (
    SERVER_TIMEOUT_S,
    Client,
    Server,
    assert_error,
    bearer,
    settings_for,
    wait_ready,
    write_keys,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return restore(SCHEMAS[-1], tmp_path)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("name", BREAKS)
def test_a_database_that_cannot_be_used_is_named_with_the_remedy(
    database: str, name: str, data: Path
) -> None:
    BREAKS[name](data / database)
    before = _content(data / database)
    for _ in range(2):
        with pytest.raises(DatabaseUnusable) as raised:
            DataDirectory(Settings(data_dir=data))
        said = str(raised.value)
        assert str(data / database) in said
        assert "\n" not in said
        assert any(word in said for word in ("restore", "move this file away", "give this user"))
    assert _content(data / database) == before


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@pytest.mark.parametrize("content", [None, b""])
def test_a_lost_database_of_jobs_is_not_begun_anew(data: Path, content: bytes | None) -> None:
    (data / "records.sqlite").unlink()
    if content is not None:
        (data / "records.sqlite").write_bytes(content)
    for _ in range(2):
        with pytest.raises(DatabaseUnusable, match=r"records\.sqlite is absent or empty"):
            DataDirectory(Settings(data_dir=data))


def test_dbos_makes_its_database_anew(data: Path) -> None:
    (data / "jobs.sqlite").write_bytes(b"")
    DataDirectory(Settings(data_dir=data)).close()


def test_a_database_may_be_refused_instead_of_upgraded(data: Path) -> None:
    from server.storage.sqlite_database import SqliteDatabase

    with pytest.raises(DatabaseUnusable, match="start the server once"):
        SqliteDatabase(data / "records.sqlite", may_upgrade=False)
    SqliteDatabase(data / "records.sqlite").close()
    SqliteDatabase(data / "records.sqlite", may_upgrade=False).close()


def test_errors_of_full_and_locked_storage_say_that_it_may_come_back(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "some.sqlite", remedy="restore it")
    run(file.path, "CREATE TABLE some (content TEXT)")
    with closing(sqlite3.connect(file.path, timeout=0.01)) as connection:
        connection.execute("PRAGMA max_page_count=3")
        with pytest.raises(StorageAway, match="full"), file.explained():
            connection.execute("INSERT INTO some VALUES (?)", ["x" * 100_000])
        connection.rollback()
        with closing(sqlite3.connect(file.path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StorageAway, match="locked"), file.explained():
                connection.execute("INSERT INTO some VALUES ('x')")


@pytest.mark.parametrize(
    ("database", "name"), [("records.sqlite", "newer"), ("jobs.sqlite", "garbage")]
)
def test_a_server_over_a_broken_database_answers_and_says_so_in_its_log(
    database: str, name: str, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    BREAKS[name](data / database)
    with Client(settings_for(tmp_path / "no-model", data)) as client:
        health = client.get("/health")
        assert_error(health, 503, code="load_failed", says="see its log")
        assert str(data) not in health.text
        for path in ("/v1/videos", "/v1/encoders", "/v1/models", "/v1/aliases", "/v1/videos/x"):
            assert_error(client.get(path), 503, code="load_failed", says=database)
        made = client.post("/v1/videos", json={"prompt": "pogo"})
        assert_error(made, 503, code="load_failed", says=database)
        assert client.get("/docs").status_code == 200
        assert client.get("/metrics").status_code == 200
    [line] = [line for line in caplog.records if database in line.getMessage()]
    assert line.levelname == "ERROR"
    assert not line.exc_info


def test_the_reason_is_for_an_admin(data: Path, tmp_path: Path) -> None:
    BREAKS["newer"](data / "records.sqlite")
    keys = write_keys(
        tmp_path / "keys.json", boss={"role": "admin"}, one={"role": "user", "encoders": ["*"]}
    )
    with Client(settings_for(tmp_path / "no-model", data, keys_file=keys)) as client:
        for path in ("/v1/videos", "/v1/encoders", "/v1/models", "/v1/videos/x"):
            told = client.get(path, headers=bearer("secret-boss"))
            assert_error(told, 503, code="load_failed", says=str(data))
            hidden = client.get(path, headers=bearer("secret-one"))
            assert_error(hidden, 503, code="load_failed", says="see its log")
            assert str(data) not in hidden.text


def test_the_reason_why_there_is_no_model_is_for_an_admin(tmp_path: Path) -> None:
    keys = write_keys(
        tmp_path / "keys.json", boss={"role": "admin"}, one={"role": "user", "encoders": ["*"]}
    )
    settings = settings_for(tmp_path / "no-model", tmp_path / "data", keys_file=keys)
    with Client(settings) as client:
        until = time.monotonic() + SERVER_TIMEOUT_S
        while client.runtime.load_error is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        body = {"prompt": "pogo"}
        told = client.post("/v1/videos", json=body, headers=bearer("secret-boss"))
        assert_error(told, 503, says="no-model")
        hidden = client.post("/v1/videos", json=body, headers=bearer("secret-one"))
        assert_error(hidden, 503, says="could not be loaded; see the server's log.")
        assert str(tmp_path) not in hidden.text


def test_a_locked_database_is_waited_for_without_a_restart(
    quick_backbone_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY_TIMEOUT_S", 0.05)
    run(tmp_path / "records.sqlite", "PRAGMA journal_mode=WAL")
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with Client(settings_for(quick_backbone_dir, tmp_path)) as client:
            assert_error(client.get("/health"), 503, code="loading", says="storage")
            assert_error(client.get("/v1/videos"), 503, code="loading", says="locked")
            other.execute("ROLLBACK")
            wait_ready(client)
            assert client.get("/v1/videos").json()["data"] == []


def test_a_broken_database_that_is_restored_is_opened_without_a_restart(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "records.sqlite").mkdir()
    with Client(settings_for(quick_backbone_dir, tmp_path)) as client:
        assert_error(client.get("/health"), 503, code="load_failed")
        (tmp_path / "records.sqlite").rmdir()
        wait_ready(client)


def test_a_worker_over_a_broken_database_stays(quick_backbone_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    restore(SCHEMAS[-1], tmp_path / "data")
    records = tmp_path / "data" / "records.sqlite"
    sound = records.read_bytes()
    newer(records)
    server = Server(quick_backbone_dir, tmp_path)
    server.launch()
    try:
        until = time.monotonic() + SERVER_TIMEOUT_S
        while "load_failed" not in _health(server):
            assert time.monotonic() < until, server.log.read_text()[-4000:]
            time.sleep(0.05)
        [worker] = server.workers()
        assert server.client.get("/livez").status_code == 200
        assert server.client.get("/readyz").status_code == 503
        time.sleep(4)  # longer than the pause between two attempts to open the storage
        assert server.workers() == [worker]
        assert "load_failed" in _health(server)
        log = server.log.read_text()
        assert log.count("was written by a newer version") == 1
        records.write_bytes(sound)
        wait_ready(server.client)
        assert server.client.get("/readyz").status_code == 200
        records.write_bytes(b"garbage" * 9000)
        until = time.monotonic() + SERVER_TIMEOUT_S
        while server.client.get("/readyz").status_code != 503:
            assert time.monotonic() < until, server.log.read_text()[-4000:]
            time.sleep(0.05)
        assert "load_failed" in _health(server)
        assert_error(server.client.get("/v1/videos"), 503, code="load_failed", says=str(records))
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()


def _health(server: Server) -> str:
    with contextlib.suppress(httpx.TransportError):
        return server.client.get("/health").text
    return ""
