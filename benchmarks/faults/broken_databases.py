"""Ways to break a database so that it cannot be used until somebody mends it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

Break = Callable[[Path], None]
DATABASES = ("records.sqlite", "jobs.sqlite")


def run(path: Path, *statements: str) -> None:
    """Execute statements on a database, and commit."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def cut(share: float) -> Break:
    """Return a break that keeps this share of the file."""

    def break_it(path: Path) -> None:
        run(path, "PRAGMA journal_mode=DELETE")
        with path.open("r+b") as file:
            file.truncate(max(1, int(path.stat().st_size * share)))

    return break_it


def scramble(path: Path) -> None:
    """Overwrite a part of each page but the first."""
    run(path, "PRAGMA journal_mode=DELETE")
    with path.open("r+b") as file:
        for offset in range(4096, path.stat().st_size, 4096):
            file.seek(offset)
            file.write(b"\xa5" * 200)


def replace(content: bytes) -> Break:
    """Return a break that puts other content in the file's place."""

    def break_it(path: Path) -> None:
        path.unlink()
        path.write_bytes(content)

    return break_it


def foreign(path: Path) -> None:
    """Put another program's database in the file's place."""
    path.unlink()
    run(path, "CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")


def foreign_with_a_known_name(path: Path) -> None:
    """Put another program's database there, with a table of a name that ours has too."""
    path.unlink()
    table = "videos" if path.name == "records.sqlite" else "workflow_status"
    run(path, f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, title TEXT)")


def newer(path: Path) -> None:
    """Mark the database as one of a newer version."""
    if path.name == "records.sqlite":
        run(
            path,
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
            "INSERT INTO alembic_version VALUES ('9999')",
        )
    else:
        run(path, "UPDATE dbos_migrations SET version = 9999")


def without_a_table(path: Path) -> None:
    """Drop a table."""
    run(path, f"DROP TABLE {'videos' if path.name == 'records.sqlite' else 'operation_outputs'}")


def folder(path: Path) -> None:
    """Put a folder in the file's place."""
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    """Put a link to nothing in the file's place."""
    path.unlink()
    path.symlink_to(path.parent / "unmounted" / path.name)


def loop(path: Path) -> None:
    """Put a link to itself in the file's place."""
    path.unlink()
    path.symlink_to(path)


def pipe(path: Path) -> None:
    """Put a named pipe in the file's place."""
    path.unlink()
    os.mkfifo(path)


BREAKS: Mapping[str, Break] = {
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
