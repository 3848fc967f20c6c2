"""The database in PostgreSQL: made once, refused in words, and right with several processes."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from server.settings import Settings
from server.start_checks import setting_error
from server.storage.alias_table import AliasTable
from server.storage.backends import has_database, keys_of, open_database
from server.storage.key_rows import KeyRow
from server.storage.storage_errors import DatabaseDamaged, DatabaseUnopenable, DatabaseUnusable
from server.storage.stored_keys import KeysAbsent
from server.storage.upgrade import revisions
from tests import postgres_server
from tests.postgres_server import PASSWORD, maintenance
from tests.server.help import ROOT

NAME = "test_postgres_database"


def settings_of(url: str) -> Settings:
    return Settings.model_validate({"database": url})


@pytest.fixture
def fresh(postgres_port: int) -> str:
    """Return the URL of an empty database."""
    return postgres_server.create_database(postgres_port, "fresh")


def test_servers_that_start_at_once_make_one_database(fresh: str) -> None:
    settings = settings_of(fresh)
    assert not has_database(settings)
    with pytest.raises(KeysAbsent):
        keys_of(settings)()
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_database(settings), range(4)))
    with opened[0].reading() as session:
        found = session.execute(text("SELECT version_num FROM alembic_version")).all()
    assert found == [(revisions()[-1],)]
    assert has_database(settings)
    for one in opened:
        one.close()


def test_an_earlier_revision_is_upgraded_by_a_server_and_by_nobody_else(
    fresh: str, postgres_port: int
) -> None:
    open_database(settings_of(fresh)).close()
    with maintenance(postgres_port, "fresh") as connection:
        connection.execute("DROP TABLE audits, replicas, published_model")
        for table in ("videos", "encoder_jobs"):
            drop = f"ALTER TABLE {table} DROP COLUMN replica, DROP COLUMN job_version"
            connection.execute(f"{drop}, DROP COLUMN request_trace".encode())
            index = f"CREATE INDEX ix_{table}_turn ON {table} (status, owner, sequence)"
            connection.execute(index.encode())
        connection.execute("ALTER TABLE encoder_jobs DROP COLUMN training")
        connection.execute("UPDATE alembic_version SET version_num = '0008'")
    with pytest.raises(DatabaseUnusable, match="earlier version of Palimpsest: start the server"):
        open_database(settings_of(fresh), may_upgrade=False)
    with closing(open_database(settings_of(fresh))) as database, database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM audits")) == 0


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("CREATE TABLE theirs (x int)", DatabaseDamaged, "is not a database of Palimpsest"),
        ("OURS; UPDATE alembic_version SET version_num = '9999'", DatabaseUnusable, "newer"),
        ("OURS; DROP TABLE ledger", DatabaseDamaged, "ledger is missing"),
        ("OURS; ALTER TABLE videos DROP COLUMN seed", DatabaseDamaged, "videos.seed is missing"),
        (
            "CREATE SCHEMA palimpsest_jobs; CREATE TABLE palimpsest_jobs.workflow_status (x int)",
            DatabaseDamaged,
            "has no tables, although its schema palimpsest_jobs has",
        ),
        (
            "ALTER DATABASE fresh SET search_path = 'nowhere'",
            DatabaseUnopenable,
            "no schema of its search_path",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(
    fresh: str, postgres_port: int, statement: str, error: type[Exception], says: str
) -> None:
    first, _, rest = statement.partition("; ")
    if first == "OURS":
        open_database(settings_of(fresh)).close()
    with maintenance(postgres_port, "fresh") as connection:
        connection.execute((rest if first == "OURS" else statement).encode())
    with pytest.raises(error, match=says) as caught:
        open_database(settings_of(fresh))
    assert "\n" not in str(caught.value)
    assert "/fresh" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{PASSWORD}@host/db",
        f"postgresql+psycopg://me:{PASSWORD}@host:port/db",
        f"postgresql+psycopg://me:{PASSWORD}@host",
        "postgresql+psycopg://me:s3cret%zz@host/db",
        "postgresql+psycopg://me:s3cret@host/db?colour=s3cret",
        "s3cret",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_shown_nowhere(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings_of(url)
    for said in (str(caught.value), setting_error(caught.value)):
        assert "s3cret" not in said
    assert setting_error(caught.value).startswith("PALIMPSEST_DATABASE cannot be used: ")


def test_a_password_is_in_no_text_about_the_database(
    fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = settings_of(fresh)
    database = open_database(settings)
    wrong = settings_of(fresh.replace("/fresh", "/nowhere"))
    said = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.postgres)]
    said += [database.name, repr(database), repr(vars(database))]
    for attempt in (lambda: open_database(wrong), keys_of(wrong), lambda: has_database(wrong)):
        with pytest.raises(Exception, match='"nowhere" does not exist') as caught:
            attempt()
        said.append(str(caught.value))
    database.close()
    assert PASSWORD not in "".join(said) + caplog.text
    assert "s3cret" not in "".join(said) + caplog.text


def test_a_table_that_is_lost_is_noticed_and_used_again_when_it_is_back(
    fresh: str, postgres_port: int
) -> None:
    with closing(open_database(settings_of(fresh))) as database:
        with database.writing() as session:
            session.execute(text("ALTER TABLE aliases RENAME TO elsewhere"))
        with pytest.raises(DatabaseDamaged, match="aliases"):
            AliasTable(database).all()
        with pytest.raises(DatabaseUnusable, match="aliases"), database.writing():
            pass
        assert isinstance(database.health.error, DatabaseUnusable)
        with maintenance(postgres_port, "fresh") as other:
            other.execute("ALTER TABLE elsewhere RENAME TO aliases")
        database.health.look()
        assert database.health.error is None
        assert AliasTable(database).all() == {}


def test_keys_are_read_as_they_are_stored(fresh: str) -> None:
    row = KeyRow(id="acme", sha256="0" * 64, role="user", encoders=["a"], limits={"queued": 3})
    taken = list[Any]()
    with closing(open_database(settings_of(fresh))) as database:
        with database.writing() as session:
            session.add(row)
        read = keys_of(settings_of(fresh))
        for _ in range(3):  # with a connection of its own from the second time on
            [(entry, revoked)] = read()
            assert (entry["encoders"], entry["limits"]) == (["a"], {"queued": 3})
            assert (entry["additions"], revoked) == ([], False)
        database.admit(lambda stored: taken.extend(stored()), lambda: None)
        assert taken == [(entry, False)]


def test_a_server_on_sqlite_loads_nothing_of_postgresql(tmp_path: Path) -> None:
    code = (
        "import sys, service; from pathlib import Path; from server.settings import Settings\n"
        "from server.storage.backends import open_database\n"
        f"open_database(Settings(data_dir=Path({str(tmp_path)!r}))).close()\n"
        "print([name for name in sys.modules if 'psycopg' in name or '.postgres_keys' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
