"""`palimpsest admin`: the commands, their options, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.storage.lock import DataLock
from tests.cli.help import palimpsest
from tests.server.conftest import copied_server, places
from tests.server.copied_server import CopiedServer

__all__ = ["copied_server", "places"]


def test_a_server_is_moved_backed_up_and_restored(
    copied_server: CopiedServer, places: dict[str, str], tmp_path: Path
) -> None:
    def run(*arguments: object) -> str:
        done = palimpsest("admin", *arguments, PALIMPSEST_DATABASE=places["database"])
        assert done.status == 0, done
        assert done.err == ""
        return done.out

    moved = run("migrate", "--from", copied_server.data, "--to-store", places["store"])
    assert moved.startswith(f"{copied_server.data} is copied to PostgreSQL at 127.0.0.1:")
    assert f"and {places['store']}, and stays as it is. " in moved
    assert "s3cret" not in moved
    again = ("migrate", "--from", copied_server.data, "--to-store", places["store"])
    palimpsest("admin", *again, PALIMPSEST_DATABASE=places["database"]).assert_failed(
        "has rows already: name a new, empty database."
    )
    server = {"PALIMPSEST_DATABASE": places["database"], "PALIMPSEST_STORE": places["store"]}
    backup = palimpsest("admin", "backup", "--to", "today.tar", "--json", **server)
    assert backup.json["rows"]["videos"] == 2
    assert backup.json["files"] > 10
    assert backup.json["left_out"] == []
    done = palimpsest("admin", "restore", "--from", "today.tar", "--to-data-dir", "new", "--json")
    assert done.json == backup.json
    assert (tmp_path / "new" / "records.sqlite").stat().st_mode & 0o077 == 0
    done = palimpsest("admin", "backup", "--to", "again.tar", "--data-dir", "new", "--json")
    assert done.json == backup.json


def test_a_directory_in_use_is_refused(copied_server: CopiedServer, tmp_path: Path) -> None:
    lock = DataLock(copied_server.data)
    lock.take()
    try:
        done = palimpsest("admin", "migrate", "--from", copied_server.data, "--to-data-dir", "new")
        done.assert_failed(f"{copied_server.data} is in use by another server (process ")
    finally:
        lock.release()
    assert not (tmp_path / "new").exists()


def test_what_is_not_empty_or_no_server_is_refused(
    copied_server: CopiedServer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    source = ("admin", "migrate", "--from", copied_server.data)
    palimpsest(*source, "--to-data-dir", "other").assert_failed("is not empty: it has 'notes.txt'")
    palimpsest(*source, "--to-data-dir", copied_server.data).assert_failed("has rows already")
    palimpsest("admin", "migrate", "--from", "other").assert_failed("other has no records.sqlite")
    palimpsest("admin", "backup", "--to", "x.tar").assert_failed("data has no database of a server")
    palimpsest("admin", "restore", "--from", "other/notes.txt").assert_failed(
        "other/notes.txt is damaged or no backup"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--to-database", "postgresql+psycopg://me:secret@host/name"), "list of processes"),
        (("--to-database", "mysql://host/name"), "it is no URL like"),
        (("--to-store", "ftp://x"), "give it s3://bucket/prefix"),
    ],
)
def test_options_that_cannot_be_used_are_named(option: tuple[str, str], says: str) -> None:
    done = palimpsest("admin", "migrate", "--from", "data", *option)
    assert done.status == 2
    words = " ".join(done.err.replace("│", " ").split())
    assert says in words
    assert f"for {option[0]}" in words
    assert "secret" not in done.err
