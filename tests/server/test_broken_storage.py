"""Databases that cannot be used: the server answers, and says what is wrong and what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from server.settings import Settings
from server.storage import sqlite_file
from server.storage.data_directory import DataDirectory
from server.storage.sqlite_file import DatabaseUnusable, SqliteFile, StorageAway
from tests.server.help import (
    SERVER_TIMEOUT_S,
    Client,
    Server,
    assert_error,
    settings_for,
    wait_ready,
)
from tests.server.schemas.read import SCHEMAS, restore

Break = Callable[[Path], None]
DATABASES = ("records.sqlite", "jobs.sqlite")


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def cut(share: float) -> Break:
    def break_it(path: Path) -> None:
        run(path, "PRAGMA journal_mode=DELETE")
        with path.open("r+b") as file:
            file.truncate(max(1, int(path.stat().st_size * share)))

    return break_it


def scramble(path: Path) -> None:
    run(path, "PRAGMA journal_mode=DELETE")
    with path.open("r+b") as file:
        for offset in range(4096, path.stat().st_size, 4096):
            file.seek(offset)
            file.write(b"\xa5" * 200)


def replace(content: bytes) -> Break:
    def break_it(path: Path) -> None:
        path.unlink()
        path.write_bytes(content)

    return break_it


def foreign(path: Path) -> None:
    path.unlink()
    run(path, "CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")


def foreign_with_a_known_name(path: Path) -> None:
    path.unlink()
    table = "videos" if path.name == "records.sqlite" else "workflow_status"
    run(path, f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, title TEXT)")


def newer(path: Path) -> None:
    if path.name == "records.sqlite":
        run(
            path,
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
            "INSERT INTO alembic_version VALUES ('9999')",
        )
    else:
        run(path, "UPDATE dbos_migrations SET version = 9999")


def without_a_table(path: Path) -> None:
    run(path, f"DROP TABLE {'videos' if path.name == 'records.sqlite' else 'operation_outputs'}")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "unmounted" / path.name)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BREAKS: dict[str, Break] = {
    "garbage": replace(os.urandom(9000)),
    "text": replace(b"this is not a database\n" * 500),
    "header alone": replace(b"SQLite format 3\x00"),
    "one byte": replace(b"\x00"),
    "cut to a tenth": cut(0.1),
    "cut to a half": cut(0.5),
    "cut before the end": cut(0.97),
    "scrambled": scramble,
    "foreign": foreign,
    "foreign with a known name": foreign_with_a_known_name,
    "newer": newer,
    "without a table": without_a_table,
    "a folder": folder,
    "a dangling link": dangling,
    "a loop": loop,
    "a pipe": pipe,
}


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
    from server.storage.database import Database

    with pytest.raises(DatabaseUnusable, match="start the server once"):
        Database(data / "records.sqlite", may_upgrade=False)
    Database(data / "records.sqlite").close()
    Database(data / "records.sqlite", may_upgrade=False).close()


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
    newer(tmp_path / "data" / "records.sqlite")
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
        assert "Traceback" not in log
    finally:
        server.stop()


def _health(server: Server) -> str:
    with contextlib.suppress(httpx.TransportError):
        return server.client.get("/health").text
    return ""
