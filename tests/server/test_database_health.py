"""The health of the database, as many threads meet it at once."""

from __future__ import annotations

import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.storage import sqlite_health
from server.storage.sqlite_file import SqliteFile
from server.storage.sqlite_health import SqliteHealth


def test_damage_that_many_meet_at_once_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "records.sqlite"
    path.write_bytes(b"this is not a database\n" * 500)
    plain = sqlite_health._signature

    def slow(of: Path) -> tuple[int, ...] | None:
        time.sleep(0.05)  # the others come in meanwhile
        return plain(of)

    monkeypatch.setattr(sqlite_health, "_signature", slow)
    health = SqliteHealth(SqliteFile(path, remedy="restore it"), ("videos",), lambda: None)
    logging.getLogger("server").propagate = True
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: health.look(), range(8)))
    # By identity: another test may have left a second handler, which notes the same line again.
    said = {id(line): line.levelname for line in caplog.records}
    assert list(said.values()) == ["ERROR"]
    assert isinstance(health.error, Exception)
    assert not isinstance(health.error, sqlite3.Error)
