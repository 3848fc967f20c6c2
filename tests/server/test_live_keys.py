"""Keys of a running server: made, revoked, expired and declared without a restart."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.broken_databases import run
from server.auth.keys import hash_key
from server.auth.live_keys import KEPT_S, LiveKeys
from server.errors import NotReady, Unauthorized
from server.storage.key_rows import KeyRow
from server.storage.key_table import KeyExists, KeyNotFound, KeyTable
from server.storage.sqlite_database import SqliteDatabase
from server.storage.sqlite_keys import stored_keys
from server.storage.stored_keys import KeysDamaged, KeysUnreadable
from tests.server.databases import opened
from tests.server.help import Client, assert_error, bearer, write_keys

NEVER = 1 << 40


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def row(key_id: str, **values: Any) -> KeyRow:
    given: dict[str, Any] = {"role": "user", "encoders": ["no-pogo"], "limits": {}}
    return KeyRow(id=key_id, sha256=hash_key(f"secret-{key_id}"), **{**given, **values})


@contextmanager
def table(path: Path) -> Generator[KeyTable]:
    database = SqliteDatabase(path)
    try:
        yield KeyTable(database)
    finally:
        database.close()


def live(path: Path, file: Path | None = None, **options: Any) -> LiveKeys:
    return LiveKeys(file, lambda: stored_keys(path), **options)


def test_a_directory_without_keys_has_none_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data" / "records.sqlite"
    assert not live(path).is_keyed
    assert not path.parent.exists()
    path.parent.mkdir()
    sqlite3.connect(path).execute("CREATE TABLE videos (id TEXT)")  # of before there were keys
    assert not live(path).is_keyed
    path.unlink()
    with table(path):
        assert not live(path).is_keyed


def test_a_key_is_accepted_until_it_is_revoked_and_the_server_stays_keyed(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with table(path) as keys:
        server = live(path)
        assert not server.is_keyed
        keys.add(row("acme", limits={"queued": 3}))
        server.refresh()
        assert server.is_keyed
        caller = server.caller(["Bearer secret-acme"])
        assert (caller.id, caller.encoders, caller.limits) == ("acme", {"no-pogo"}, {"queued": 3})
        keys.revoke("acme")
        server.refresh()
        assert server.is_keyed
        with pytest.raises(Unauthorized):
            server.caller(["Bearer secret-acme"])
        assert live(path).is_keyed


def test_an_expired_key_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with table(path) as keys:
        keys.add(row("acme", expires_at=int(time.time()) - 1))
        keys.add(row("other", expires_at=NEVER))
    server = live(path)
    with pytest.raises(Unauthorized, match="expired"):
        server.caller(["Bearer secret-acme"])
    assert server.caller(["Bearer secret-other"]).id == "other"


def test_an_id_is_given_once_and_a_rotated_key_has_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with table(path) as keys:
        keys.add(row("acme"))
        with pytest.raises(KeyExists):
            keys.add(row("acme"))
        keys.revoke("acme")
        with pytest.raises(KeyExists):
            keys.add(row("acme"))
        keys.rotate("acme", hash_key("new"), None)
        for change in (lambda: keys.revoke("nobody"), lambda: keys.rotate("nobody", "x", None)):
            with pytest.raises(KeyNotFound):
                change()
    server = live(path)
    assert server.caller(["Bearer new"]).id == "acme"
    with pytest.raises(Unauthorized):
        server.caller(["Bearer secret-acme"])


def test_a_locked_database_locks_nobody_out_and_no_key_lives_for_ever(tmp_path: Path) -> None:
    path, clock = tmp_path / "records.sqlite", Clock()
    with table(path) as keys:
        keys.add(row("acme"))
    server = live(path, clock=clock)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(KeysUnreadable) as away:
        stored_keys(path)
    assert away.value.code == "storage_unavailable"
    clock.now += KEPT_S - 1
    server.refresh()
    assert server.caller(["Bearer secret-acme"]).id == "acme"
    clock.now += 2
    server.refresh()
    with pytest.raises(NotReady):
        server.caller(["Bearer secret-acme"])
    holder.execute("COMMIT")
    server.refresh()
    assert server.caller(["Bearer secret-acme"]).id == "acme"
    holder.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" * 300])
def test_a_database_that_cannot_be_read_keeps_everybody_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.sqlite"
    path.write_bytes(content)
    server = live(path)
    assert server.is_keyed
    for header in ([], ["Bearer x"]):
        with pytest.raises(NotReady, match="is damaged") as raised:
            server.caller(header)
        assert raised.value.reported_code == "load_failed"
    path.unlink()
    server.refresh()
    assert not server.is_keyed


@pytest.mark.parametrize("how", ["emptied", "without its table", "another's", "away"])
def test_keys_that_are_lost_with_the_database_stay_valid_for_a_while(
    tmp_path: Path, how: str
) -> None:
    path, clock = tmp_path / "records.sqlite", Clock()
    with table(path) as keys:
        keys.add(row("acme"))
        keys.add(row("gone"))
        keys.revoke("gone")
    server = live(path, clock=clock)
    sound = path.read_bytes()
    if how == "emptied":
        path.write_bytes(b"")
    elif how == "without its table":
        run(path, "DROP TABLE keys")
    else:
        path.unlink()
        if how == "another's":
            run(path, "CREATE TABLE moz_places (id INTEGER)")
    clock.now += KEPT_S - 1
    server.refresh()
    assert server.caller(["Bearer secret-acme"]).id == "acme"
    with pytest.raises(Unauthorized):
        server.caller(["Bearer secret-gone"])
    clock.now += 2
    server.refresh()
    with pytest.raises(NotReady) as raised:
        server.caller(["Bearer secret-acme"])
    code = "storage_unavailable" if how == "away" else "load_failed"
    assert raised.value.reported_code == code
    assert not live(path).is_keyed  # a server that never read keys has none
    path.write_bytes(sound)
    server.refresh()
    assert server.caller(["Bearer secret-acme"]).id == "acme"
    path.unlink()
    with table(path):  # a database with a table of keys says that there are none
        server.refresh()
    assert server.is_keyed
    with pytest.raises(Unauthorized):
        server.caller(["Bearer secret-acme"])


def test_a_row_that_is_no_key_is_refused_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with table(path) as keys:
        keys.add(row("acme"))
        keys.add(row("broken", encoders=[]))
        keys.add(row("root", role="root"))
    server = live(path)
    assert server.caller(["Bearer secret-acme"]).id == "acme"
    for name in ("broken", "root"):
        with pytest.raises(Unauthorized):
            server.caller([f"Bearer secret-{name}"])


def test_the_keys_file_is_read_again_and_a_broken_one_keeps_the_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_keys(tmp_path / "keys.json", acme={"role": "admin"})
    server = live(tmp_path / "records.sqlite", path)
    logging.getLogger("server").propagate = True
    write_keys(path, acme={"role": "admin"}, other={"role": "admin"})
    server.refresh()
    assert server.caller(["Bearer secret-other"]).id == "other"
    for change in (lambda: path.write_text("{"), lambda: path.unlink()):
        change()
        caplog.clear()
        server.refresh()
        server.refresh()
        assert len([line for line in caplog.records if line.levelname == "ERROR"]) == 1
        assert server.caller(["Bearer secret-other"]).id == "other"
    write_keys(path, other={"role": "admin"})
    server.refresh()
    with pytest.raises(Unauthorized):
        server.caller(["Bearer secret-acme"])


def test_a_key_that_the_file_declares_is_the_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with table(path) as keys:
        keys.add(row("acme"))
        keys.add(row("made"))
    declared = {"id": "acme", "sha256": hash_key("declared"), "role": "admin"}
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [declared]}))
    server = live(path, file)
    assert server.caller(["Bearer declared"]).role == "admin"
    assert server.caller(["Bearer secret-made"]).id == "made"
    with pytest.raises(Unauthorized):
        server.caller(["Bearer secret-acme"])


def test_a_running_server_notices_keys_within_two_seconds(client: Client) -> None:
    assert client.get("/v1/videos").status_code == 200

    def becomes(status: int, headers: dict[str, str]) -> None:
        until = time.monotonic() + 2
        while client.get("/v1/videos", headers=headers).status_code != status:
            assert time.monotonic() < until
            time.sleep(0.05)

    with closing(opened(client.runtime.settings.data_dir)) as database:
        keys = KeyTable(database)
        keys.add(row("boss", role="admin", encoders=None))
        becomes(401, {})
        becomes(200, bearer("secret-boss"))
        assert client.get("/livez", headers={"host": "video.example"}).status_code != 403
        keys.revoke("boss")
        becomes(401, bearer("secret-boss"))
        assert_error(client.get("/v1/videos"), 401, code="invalid_api_key")


def test_what_is_no_file_is_damaged_and_never_a_database_without_keys(tmp_path: Path) -> None:
    pipe, folder, loop = tmp_path / "pipe", tmp_path / "folder", tmp_path / "loop"
    dangling = tmp_path / "dangling"
    os.mkfifo(pipe)
    folder.mkdir()
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "unmounted" / "records.sqlite")
    for path in (pipe, folder, loop, dangling):
        with pytest.raises(KeysDamaged, match=path.name):
            stored_keys(path)
        assert live(path).is_keyed
    with table(tmp_path / "records.sqlite") as keys:
        keys.add(row("acme"))
    (tmp_path / "unmounted").mkdir()
    (tmp_path / "records.sqlite").rename(tmp_path / "unmounted" / "records.sqlite")
    assert [entry["id"] for entry, _ in stored_keys(dangling)] == ["acme"]
