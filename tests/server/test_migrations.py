"""Migrations of the database: from every earlier schema, whole or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, inspect

from benchmarks.faults.earlier_data import SCHEMAS, restore
from server.storage import sqlite_database
from server.storage.record_store import RecordStore
from server.storage.records import EncoderRecord, VideoRecord
from server.storage.schema import Base
from server.storage.sqlite_database import SqliteDatabase
from server.storage.storage_errors import DatabaseUnusable
from server.storage.upgrade import revisions, upgrade
from tests.server.help import ROOT

OLDEST = SCHEMAS[0]


def definitions(path: Path) -> dict[str, str]:
    """Return name → parts of the SQL of everything in a database, in any order."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {
            # A column that a revision has added is the last one.
            name: ", ".join(sorted(part.strip(" )") for part in _parts(sql)))
            for name, sql in found
            if not name.startswith("sqlite_")
        }


def _parts(sql: str) -> list[str]:
    return " ".join(sql.split()).replace("( ", "(").split(",")


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}").fetchall()]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fresh") / "records.sqlite"
    SqliteDatabase(path).close()
    return path


def test_a_new_database_is_what_the_models_say(fresh: Path) -> None:
    """If this fails, a model was changed: add a revision to server/storage/migrations/versions."""
    engine = create_engine(f"sqlite:///{fresh}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_revisions_alone_make_the_same_database(fresh: Path, tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_database, "create", upgrade)
        SqliteDatabase(path).close()
    assert definitions(path) == definitions(fresh)
    assert rows(path, "alembic_version") == rows(fresh, "alembic_version")
    assert rows(fresh, "alembic_version") == [{"version_num": revisions()[-1]}]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_earlier_schema_becomes_the_present_one(
    schema: str, fresh: Path, tmp_path: Path
) -> None:
    path = restore(schema, tmp_path) / "records.sqlite"
    before = {table: rows(path, table) for table in ("videos", "encoder_jobs")}
    assert before["videos"]
    assert before["encoder_jobs"]
    SqliteDatabase(path).close()
    found, wanted = definitions(path), definitions(fresh)
    assert found.keys() == wanted.keys()
    for name in ("videos", "encoder_jobs"):
        assert "AUTOINCREMENT" in found[name]
        # Constraints of a table that had all columns already may stand in another order.
        assert sorted(found[name].split(", ")) == sorted(wanted[name].split(", "))
        for old, new in zip(before[name], rows(path, name), strict=True):
            kept = set(old) & set(new) - {"request_hash"}
            assert {column: new[column] for column in kept} == {
                column: old[column] for column in kept
            }
            assert set(old) - set(new) <= {"concept", "kind", "synonyms"}
    database = SqliteDatabase(path)
    records = RecordStore(database)
    for job in records.all(EncoderRecord):
        assert [set(concept) for concept in job.concepts] == [{"name", "kind", "synonyms"}]
        assert isinstance(job.gate, dict)
    assert all(video.lifetime > 0 for video in records.all(VideoRecord))
    database.close()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_sequence_number_is_never_used_again_after_a_migration(
    schema: str, tmp_path: Path
) -> None:
    """Of every fixture the video with the highest number was deleted."""
    path = restore(schema, tmp_path) / "records.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.isolation_level = None
        connection.execute("DELETE FROM encoder_jobs")
        connection.execute("DELETE FROM videos WHERE sequence > 1")
        last = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    assert last["videos"] > 1
    assert last["encoder_jobs"] >= 1
    database = SqliteDatabase(path)
    records = RecordStore(database)
    video = records.all(VideoRecord)[0]
    copy = {
        column.key: getattr(video, column.key)
        for column in inspect(VideoRecord).column_attrs
        if column.key not in ("sequence", "id", "idempotency_key")
    }
    made = records.accept(VideoRecord(**copy, id="video_new"), limit=99)
    assert made.sequence == last["videos"] + 1
    job = EncoderRecord(
        id="new",
        job_id="encoder_new",
        owner="local",
        request_hash="-",
        concepts=[],
        settings={},
        gate={},
    )
    assert records.accept(job, limit=99).sequence == last["encoder_jobs"] + 1
    database.close()


def test_a_second_start_changes_nothing(fresh: Path) -> None:
    with counted_statements() as statements:
        SqliteDatabase(fresh).close()
    assert statements == []


@contextmanager
def counted_statements(*, fail_at: int | None = None) -> Generator[list[str]]:
    """Collect the statements of every engine; raise an error before one of them."""
    statements: list[str] = []

    def before(_: Any, __: Any, statement: str, *___: Any) -> None:
        if len(statements) == fail_at:
            raise OSError("injected")
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", before)


def test_a_migration_that_fails_at_any_statement_leaves_the_earlier_schema(tmp_path: Path) -> None:
    path = restore(OLDEST, tmp_path) / "records.sqlite"
    before, videos = definitions(path), rows(path, "videos")
    number = 0
    while True:
        try:
            with counted_statements(fail_at=number):
                SqliteDatabase(path).close()
            break
        except (DatabaseUnusable, OSError):
            assert definitions(path) == before, number
            assert rows(path, "videos") == videos, number
            number += 1
    assert number > 20
    assert definitions(path) != before


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from server.storage import sqlite_database
from server.storage.sqlite_database import SqliteDatabase

def before(connection, cursor, statement, *rest):
    if statement.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", before)
SqliteDatabase(Path(sys.argv[1]))
"""


def test_a_process_killed_in_a_migration_leaves_the_earlier_schema(tmp_path: Path) -> None:
    path = restore(OLDEST, tmp_path) / "records.sqlite"
    before = definitions(path)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), 'DROP TABLE "old_videos"'],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert definitions(path) == before
    SqliteDatabase(path).close()
    assert definitions(path).keys() > before.keys()
