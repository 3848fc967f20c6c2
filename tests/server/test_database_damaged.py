"""A database that is damaged, emptied or away while the server runs, and is put back."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from benchmarks.faults.broken_databases import foreign, run
from server.jobs import housekeeping
from server.storage import database_health
from server.storage.key_rows import KeyRow
from server.storage.sqlite_database import SqliteDatabase
from server.storage.storage_errors import DatabaseUnusable
from tests.server.help import (
    Client,
    assert_error,
    bearer,
    device_held,
    settings_for,
    wait_for,
    wait_ready,
)
from tests.server.test_dispatcher import until
from tests.server.test_live_keys import row, table
from tests.server.test_outages import QUICK, Outage, away, database_away, locked

ROUTES = (
    ("GET", "/v1/videos"),
    ("GET", "/v1/videos/video_x"),
    ("GET", "/v1/videos/video_x/content"),
    ("GET", "/v1/videos/video_x/events"),
    ("DELETE", "/v1/videos/video_x"),
    ("GET", "/v1/encoders"),
    ("GET", "/v1/encoders/x"),
    ("DELETE", "/v1/encoders/x"),
    ("GET", "/v1/aliases"),
    ("GET", "/v1/usage"),
    ("GET", "/metrics"),
)
MAKING = ("/v1/videos", "/v1/videos/sync", "/generate")


def garbage(path: Path) -> None:
    """Overwrite the file where it is, as `cat` does."""
    path.write_bytes(os.urandom(100_000))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scrambled(path: Path) -> None:
    """Overwrite a part of each page but the first."""
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        for offset in range(4096, path.stat().st_size, 4096):
            file.seek(offset)
            file.write(b"\xa5" * 200)


def one_byte(path: Path) -> None:
    path.write_bytes(b"\0")


def replaced(path: Path) -> None:
    """Put another file in its place, and leave the write-ahead log."""
    other = path.with_name("other")
    other.write_bytes(b"this is not a database\n" * 500)
    other.replace(path)


def without_a_table(path: Path) -> None:
    run(path, "DROP TABLE aliases")


def without_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in names.fetchall():
            if not name.startswith("sqlite_"):
                connection.execute(f"DROP TABLE {name}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or it is read into the next file


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BREAKS = (
    (garbage, "moved"),
    (garbage, "written"),
    (emptied, "moved"),
    (emptied, "written"),
    (cut, "written"),
    (one_byte, "written"),
    (scrambled, "written"),
    (replaced, "moved"),
    (without_a_table, "moved"),
    (without_tables, "written"),
    (folder, "moved"),
    (pipe, "moved"),
    (foreign, "moved"),
)


@pytest.fixture(scope="module")
def client(quick_backbone_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    data = tmp_path_factory.mktemp("damaged") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_health, "LOOK_INTERVAL_S", 0.1)
        patch.setattr(housekeeping, "SWEEP_INTERVAL_S", 0.2)
        with Client(settings_for(quick_backbone_dir, data)) as client:
            wait_ready(client)
            yield client


def backup(path: Path, home: Path) -> Path:
    """Copy the database in use, as docs/OPERATIONS.md says."""
    with (
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(home / "sound")) as target,
    ):
        source.backup(target)
    return home / "sound"


def put_back(sound: Path, path: Path, how: str) -> None:
    """Put a copy in the file's place: as a new file, or by writing into the one that is there."""
    if how == "written" and path.is_file():
        shutil.copyfile(sound, path)
        return
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    for rest in ("-wal", "-shm"):
        path.with_name(path.name + rest).unlink(missing_ok=True)
    shutil.copyfile(sound, path.with_name("new"))
    path.with_name("new").rename(path)


@pytest.mark.parametrize(("break_it", "how"), BREAKS)
def test_a_damaged_database_is_said_and_goes_on_when_it_is_put_back(
    client: Client,
    break_it: Callable[[Path], None],
    how: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = client.runtime.settings.records_file
    sound = backup(path, tmp_path)
    logging.getLogger("server").propagate = True
    caplog.clear()
    break_it(path)
    until(lambda: client.get("/health").status_code == 503, "nothing was noticed")
    assert_error(client.get("/health"), 503, code="load_failed", says="see its log")
    assert not client.runtime.ready
    for method, route in ROUTES:
        answer = client.request(method, route)
        assert_error(answer, 503, code="load_failed", says=str(path))
    for route in MAKING:
        assert_error(client.post(route, json=QUICK), 503, code="load_failed", says=str(path))
    client.runtime.jobs.wake()
    time.sleep(0.5)  # the dispatcher and the housekeeping meet it too
    named = [line for line in caplog.records if "restore it" in line.getMessage()]
    assert [line.levelname for line in named] == ["ERROR"]
    assert str(path) in named[0].getMessage()
    assert not [line.getMessage() for line in caplog.records if line.exc_info or line.exc_text]
    put_back(sound, path, how)
    wait_ready(client)
    assert client.runtime.ready
    assert client.get("/v1/videos").status_code == 200
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("break_it", [garbage, emptied])
def test_jobs_wait_for_a_damaged_database_and_go_on(
    client: Client, break_it: Callable[[Path], None], tmp_path: Path
) -> None:
    path = client.runtime.settings.records_file
    with device_held(client.runtime):
        waiting = client.post("/v1/videos", json=QUICK).json()["id"]
        sound = backup(path, tmp_path)
        break_it(path)
        until(lambda: not client.runtime.ready, "nothing was noticed")
    put_back(sound, path, "written")
    wait_ready(client)
    assert wait_for(client, f"/v1/videos/{waiting}")["status"] == "completed"


def test_damage_is_noticed_by_a_request_too(client: Client, tmp_path: Path) -> None:
    path = client.runtime.settings.records_file
    sound = backup(path, tmp_path)
    emptied(path)  # who meets it first calls it empty or damaged
    assert_error(client.get("/v1/videos"), 503, code="load_failed", says="restore it")
    assert not client.runtime.ready
    put_back(sound, path, "moved")
    wait_ready(client)


def test_damage_inside_a_table_is_noticed_by_who_meets_it(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with table(path) as keys:
        for i in range(500):
            keys.add(row(f"key-{i:03}"))
    sound = path.read_bytes()
    database = SqliteDatabase(path)
    with path.open("r+b") as file:  # the last pages are leaves, which a short look does not read
        file.seek(-8192, os.SEEK_END)
        file.write(os.urandom(8192))
    try:
        database.health.look()
        assert database.health.error is None
        for _ in range(2):
            with pytest.raises(DatabaseUnusable, match="is damaged"), database.reading() as session:
                session.scalars(select(KeyRow)).all()
            database.health.look()
        assert isinstance(database.health.error, DatabaseUnusable)
        path.write_bytes(sound)
        database.health.look()
        assert database.health.error is None
        with database.reading() as session:
            assert len(session.scalars(select(KeyRow)).all()) == 500
    finally:
        database.close()


def test_a_newer_versions_database_is_not_taken_for_the_restored_one(
    client: Client, tmp_path: Path
) -> None:
    path = client.runtime.settings.records_file
    sound = backup(path, tmp_path)
    shutil.copyfile(sound, tmp_path / "newer")
    run(tmp_path / "newer", "UPDATE alembic_version SET version_num = '9999'")
    emptied(path)
    until(lambda: client.get("/health").status_code == 503, "nothing was noticed")
    put_back(tmp_path / "newer", path, "moved")
    until(lambda: "newer version" in client.get("/v1/videos").text, "it is not said")
    put_back(sound, path, "moved")
    wait_ready(client)


@pytest.mark.parametrize("outage", [away, database_away])
def test_a_server_whose_data_are_away_is_not_ready_until_they_are_back(
    client: Client, outage: Outage
) -> None:
    with outage(client.runtime.settings.data_dir):
        assert_error(client.get("/v1/videos"), 503, code="storage_unavailable")
        until(lambda: not client.runtime.ready, "it is ready without its data")
        assert_error(client.get("/health"), 503, code="loading", says="storage")
        assert_error(client.get("/v1/videos"), 503, code="storage_unavailable")
    wait_ready(client)
    assert client.get("/v1/videos").status_code == 200


def test_a_lock_of_writers_leaves_the_server_ready(client: Client) -> None:
    with locked(client.runtime.settings.data_dir):
        for _ in range(database_health.LOOKS_UNTIL_AWAY + 2):
            client.runtime.database.health.look()
            assert client.runtime.ready


def test_a_key_is_not_unknown_because_the_database_was_emptied(
    client: Client, tmp_path: Path
) -> None:
    path = client.runtime.settings.records_file
    with table(path) as keys:
        keys.add(row("boss", role="admin", encoders=None))
    boss = bearer("secret-boss")
    until(lambda: client.get("/v1/videos").status_code == 401, "the key is not noticed")
    assert client.get("/v1/videos", headers=boss).status_code == 200
    sound = backup(path, tmp_path)
    emptied(path)
    for _ in range(3):
        assert_error(client.get("/v1/videos", headers=boss), 503, code="load_failed")
        time.sleep(0.5)  # the keys are read every second
    assert_error(client.get("/v1/videos"), 401)
    put_back(sound, path, "written")
    wait_ready(client)
    assert client.get("/v1/videos", headers=boss).status_code == 200
