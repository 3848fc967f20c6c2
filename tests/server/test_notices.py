"""Notices about a database: sent with the commit, heard by all servers, or looked after."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from queue import SimpleQueue
from typing import cast

import pytest

from server.storage.backends import open_database
from server.storage.database import Database
from server.storage.key_rows import KeyRow
from server.storage.key_table import KeyTable
from server.storage.notices import Notices, Topic
from server.storage.postgres_notices import PostgresNotices
from server.storage.record_store import RecordStore
from server.storage.records import FAILED, IN_PROGRESS, QUEUED
from tests.postgres_server import maintenance
from tests.server.databases import emptied
from tests.server.test_key_limits import video
from tests.server.test_postgres_database import settings_of

SOON_S = 30.0
Heard = SimpleQueue[tuple[Topic, str | None]]


def heard_by(database: Database) -> Heard:
    """Return what a database's server hears from now on. What it looks at says None."""
    queue: Heard = SimpleQueue()
    for topic in Topic:
        database.notices.on(topic, lambda about, topic=topic: queue.put((topic, about)))
    database.notices.start()
    if isinstance(database.notices, PostgresNotices):
        looked_at_all(queue)  # as soon as it listens
    return queue


def looked_at_all(queue: Heard) -> None:
    """Wait until a server has looked at everything."""
    seen: set[Topic] = set()
    while seen != set(Topic):
        topic, about = queue.get(timeout=SOON_S)
        if about is None:
            seen.add(topic)


def up_to(queue: Heard, about: str) -> list[tuple[Topic, str]]:
    """Return what is heard up to a notice about something; what says nothing is left out."""
    found: list[tuple[Topic, str]] = []
    while not found or found[-1][1] != about:
        heard = queue.get(timeout=SOON_S)
        if heard[1] is not None:
            found.append(cast(tuple[Topic, str], heard))
    return found


@pytest.fixture
def two(postgres_url: str) -> Generator[tuple[Database, Database]]:
    """Yield one database as two servers have it."""
    first, second = emptied(postgres_url), open_database(settings_of(postgres_url))
    yield first, second
    first.close()
    second.close()


def told(database: Database, about: str) -> None:
    """Give notice of a key."""
    with database.writing(alone=False) as session:
        Notices.add(session, Topic.KEYS, about)


def test_changes_of_jobs_and_keys_are_heard_once_they_are_committed(database: Database) -> None:
    queue = heard_by(database)
    records, keys = RecordStore(database), KeyTable(database)
    job = records.accept(video("v"), limit=9)
    with suppress(ZeroDivisionError), database.writing() as session:
        Notices.add(session, Topic.KEYS, "rolled back")
        raise ZeroDivisionError
    records.note(job, status=IN_PROGRESS, progress=5)
    records.change(job, status=QUEUED, attempt=1)
    assert not records.change(job, status=FAILED)  # by an attempt that counts for nothing
    job.attempt = 1
    records.change(job, status=FAILED, completed_at=1)
    records.remove(job)
    keys.add(KeyRow(id="acme", sha256="0" * 64, role="admin"))
    assert up_to(queue, "acme") == [
        (Topic.QUEUED, "v"),
        (Topic.JOB, "v"),
        (Topic.JOB, "v"),
        (Topic.ATTEMPT, "v"),
        (Topic.QUEUED, "v"),
        (Topic.JOB, "v"),
        (Topic.ATTEMPT, "v"),
        (Topic.JOB, "v"),
        (Topic.ATTEMPT, "v"),
        (Topic.KEYS, "acme"),
    ]


def test_servers_hear_each_other_within_a_second(two: tuple[Database, Database]) -> None:
    queues = [heard_by(database) for database in two]
    for number in range(5):
        began = time.monotonic()
        told(two[number % 2], f"key-{number}")
        for queue in queues:
            up_to(queue, f"key-{number}")
        assert time.monotonic() - began < 1.0


def test_a_server_that_was_cut_off_looks_at_everything(
    two: tuple[Database, Database], postgres_port: int
) -> None:
    queue = heard_by(two[1])
    with maintenance(postgres_port) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        ).fetchall()
    assert ended == [(True,)]
    looked_at_all(queue)  # once it is cut off
    looked_at_all(queue)  # as soon as it listens again
    told(two[0], "after")
    up_to(queue, "after")


def test_a_listener_that_fails_keeps_nobody_from_the_notice(database: Database) -> None:
    def fail(about: str | None) -> None:
        raise ZeroDivisionError

    database.notices.on(Topic.KEYS, fail)
    queue = heard_by(database)
    told(database, "acme")
    assert up_to(queue, "acme") == [(Topic.KEYS, "acme")]
