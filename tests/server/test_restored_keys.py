"""Databases with keys that come under a running keyless server: nobody is let in without one."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from benchmarks.faults.earlier_data import SCHEMAS, restore
from server.auth import live_keys
from server.auth.key_policy import KeyPolicy
from server.auth.live_keys import WITHOUT_KEY
from server.errors import Unauthorized
from server.settings import Settings
from server.storage.data_directory import DataDirectory
from server.storage.deleted_video_rows import DeletedVideoRow
from server.storage.key_table import KeyTable
from server.storage.sqlite_database import SqliteDatabase
from server.storage.stored_keys import Stored
from tests.server.help import Client, assert_error, bearer, settings_for, wait_ready
from tests.server.test_dispatcher import until
from tests.server.test_live_keys import live, row

KEY = bearer("secret-acme")
PATHS = ("/v1/videos", "/v1/encoders", "/v1/aliases", "/v1/models", "/v1/usage", "/v1/videos/x")


def add_key(path: Path) -> None:
    database = SqliteDatabase(path)
    KeyTable(database).add(row("acme"))
    database.close()


def moved(path: Path, folder: Path) -> Path:
    """Move a database that nobody uses to another folder, and return its file."""
    folder.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.rename(folder / path.name)


@contextmanager
def asked_without_key(client: Client) -> Generator[Counter[int]]:
    """Ask without a key in a tight loop; yield a counter of the statuses of the answers."""
    over, statuses = Event(), Counter[int]()

    def ask() -> None:
        while not over.is_set():
            for path in PATHS:
                statuses[client.get(path).status_code] += 1

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.fixture(autouse=True)
def seldom_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keys read only where nothing may be served without them."""
    monkeypatch.setattr(live_keys, "REFRESH_INTERVAL_S", 3600.0)


def test_a_database_that_was_away_at_the_start(quick_backbone_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = restore(SCHEMAS[-1], tmp_path / "data")
    DataDirectory(Settings(data_dir=data)).close()
    add_key(data / "records.sqlite")
    kept = moved(data / "records.sqlite", tmp_path / "kept")
    with Client(settings_for(quick_backbone_dir, data, database="")) as client:
        assert_error(client.get("/v1/videos"), 503, code="load_failed")
        with asked_without_key(client) as statuses:
            until(lambda: statuses[503] > 20, "nothing was asked")
            kept.rename(data / "records.sqlite")
            until(lambda: client.get("/v1/videos", headers=KEY).status_code == 200, "not open")
            until(lambda: statuses[401] > 20, "nothing was refused")
        assert set(statuses) == {401, 503}


def test_a_database_that_takes_the_place_of_one_in_use(
    quick_backbone_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (tmp_path / "other").mkdir()
    add_key(tmp_path / "other" / "records.sqlite")
    kept = moved(tmp_path / "other" / "records.sqlite", tmp_path / "kept")
    with Client(settings_for(quick_backbone_dir, data, database="")) as client:
        wait_ready(client)
        assert client.get("/v1/videos").status_code == 200
        with asked_without_key(client) as before:
            until(lambda: before[200] > 20, "nothing was asked")
        for end in ("-wal", "-shm"):
            (data / f"records.sqlite{end}").unlink(missing_ok=True)
        kept.rename(data / "records.sqlite")
        with asked_without_key(client) as statuses:
            until(lambda: client.get("/v1/videos", headers=KEY).status_code == 200, "not open")
            until(lambda: statuses[401] > 20, "nothing was refused")
        assert 200 not in statuses


def run_without_key(action: Callable[[], Any]) -> Any:
    """Run an action as in a request that was let in without a key."""

    def run() -> Any:
        WITHOUT_KEY.set(True)
        return action()

    return copy_context().run(run)


def test_a_request_that_was_let_in_before_is_refused_the_database(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    database = SqliteDatabase(path)
    keys = live(path)
    policy = KeyPolicy(keys, Settings(data_dir=tmp_path))
    database.admit(policy.admit_keys, policy.admit_use)
    table = KeyTable(database)
    assert run_without_key(table.all) == []
    add_key(path)
    keys.refresh()

    def write() -> None:
        with database.writing() as session:
            session.add(DeletedVideoRow())

    for use in (table.all, write):
        with pytest.raises(Unauthorized, match="has keys by now"):
            run_without_key(use)
    assert [found.id for found in table.all()] == ["acme"]
    database.close()


def test_a_database_whose_keys_cannot_be_read_is_not_used(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "records.sqlite")

    def fail(_: Stored) -> None:
        raise ValueError("the keys cannot be read")

    with pytest.raises(ValueError, match="the keys cannot be read"):
        database.admit(fail, lambda: None)
    with pytest.raises(ValueError, match="the keys cannot be read"):
        KeyTable(database).all()
    database.close()
