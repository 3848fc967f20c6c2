"""Several processes that write to one PostgreSQL database: as right as one writer at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from encoders import EncoderRef
from server.errors import ApiError
from server.outage import is_outage
from server.settings import Settings
from server.storage import writers_turn
from server.storage.alias_table import AliasTable
from server.storage.audit_table import AuditTable
from server.storage.backends import open_database
from server.storage.database import Database
from server.storage.key_limits import Limits
from server.storage.record_store import RecordStore
from server.storage.records import VideoRecord
from server.storage.signing_keys import SigningKeys
from server.storage.usage_table import UsageTable
from tests.server.databases import emptied
from tests.server.test_key_limits import video
from tests.server.test_postgres_database import settings_of


@pytest.fixture
def two(postgres_url: str) -> Generator[tuple[Database, Database]]:
    """Yield one database as two processes have it: each with connections and a turn of its own."""
    first, second = emptied(postgres_url), open_database(settings_of(postgres_url))
    yield first, second
    first.close()
    second.close()


def test_limits_and_usage_are_exact_with_two_processes(two: tuple[Database, Database]) -> None:
    stores = [RecordStore(database) for database in two]

    def ask(number: int) -> str:
        try:
            limits = Limits(queued=9)
            stores[number % 2].accept(video(f"v{number}"), limit=1000, key_limits=limits)
        except ApiError as error:
            return error.reported_code
        return "accepted"

    with ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(ask, range(32)))
    assert answers == {"accepted": 9, "quota_exceeded": 23}
    [day] = UsageTable(two[0]).by_day("acme", 1)
    assert (day.requests, day.videos) == (32, 9)


def test_requests_of_a_minute_are_exact_and_wait_for_no_lock(
    two: tuple[Database, Database],
) -> None:
    tables = [UsageTable(database, lambda: 1e9) for database in two]

    def ask(number: int) -> str:
        try:
            tables[number % 2].count_request("acme", Limits(requests_per_minute=9))
        except ApiError as error:
            return error.reported_code
        return "counted"

    with two[0].writing(), ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(ask, range(32)))
    assert answers == {"counted": 9, "rate_limit_exceeded": 23}
    assert tables[0].now("acme").requests_per_minute == 9


def test_servers_that_start_at_once_make_one_signing_key(two: tuple[Database, Database]) -> None:
    servers = [SigningKeys(database, Settings()) for database in two]
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda n: servers[n % 2].active().key_id, range(8)))
    assert len(made) == 1
    assert [row.id for row in servers[0].all()] == list(made)


def test_an_older_answer_of_an_audit_is_not_written_over_a_newer(
    two: tuple[Database, Database],
) -> None:
    audits = [AuditTable(database, refuses=True) for database in two]
    encoder = EncoderRef("e", "sha256:e")
    values: tuple[dict[str, Any], list[str]] = ({}, [])
    assert audits[0].save(encoder, {"asked": 1}, *values, judge="j", since={})
    assert audits[1].save(encoder, {"asked": 2}, {}, ["It shows."], judge="j", since={"asked": 1})
    assert not audits[0].save(encoder, {"asked": 2}, *values, judge="j", since={"asked": 1})
    assert audits[0].refused() == {"sha256:e"}


def test_a_reader_of_pages_misses_no_row_that_is_committed_late(
    two: tuple[Database, Database],
) -> None:
    stores = [RecordStore(database) for database in two]
    over, seen = Event(), list[str]()

    def follow() -> None:
        after: str | None = None
        while True:
            is_last = over.is_set()
            page = stores[0].page(VideoRecord, "acme", after=after, limit=5, descending=False)
            assert page is not None
            seen.extend(row.id for row in page[0])
            after = seen[-1] if seen else None
            if is_last and not page[1]:
                return

    reader = Thread(target=follow)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stores[n % 2].accept(video(f"v{n}"), limit=1000), range(100)))
    over.set()
    reader.join()
    assert sorted(seen) == sorted(f"v{number}" for number in range(100))


def test_a_name_becomes_an_alias_or_a_job_whoever_asks(two: tuple[Database, Database]) -> None:
    held, goes_on = Event(), Event()

    def hold() -> None:
        with two[0].writing():
            held.set()
            goes_on.wait(30)

    holder = Thread(target=hold)
    holder.start()
    held.wait(30)
    waiting = Thread(target=AliasTable(two[1]).add_missing, args=({"acme": "x"},))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive(), "two transactions wrote alone at the same time"
    assert AliasTable(two[1]).all() == {}  # readers wait for nobody
    job = RecordStore(two[1])
    with two[1].writing(alone=False) as session:  # nor do writers that need not be alone
        session.execute(text("UPDATE videos SET progress = 1"))
    assert job.all(VideoRecord) == []
    goes_on.set()
    for thread in (holder, waiting):
        thread.join(30)
    assert AliasTable(two[0]).all() == {"acme": "x"}


def test_a_writer_waits_for_the_lock_of_another_process_and_no_longer(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers_turn, "BUSY_TIMEOUT_S", 0.2)
    databases = emptied(postgres_url), open_database(settings_of(postgres_url))
    with databases[0].writing():
        with pytest.raises(Exception, match="lock timeout") as caught, databases[1].writing():
            pass
        assert is_outage(caught.value)
        assert databases[1].is_locked
    with databases[1].writing():
        pass
    assert not databases[1].is_locked
    for database in databases:
        database.close()


def test_only_progress_does_not_wait_for_the_disk(two: tuple[Database, Database]) -> None:
    waited = text("SHOW synchronous_commit")
    for options, expected in (({}, "on"), ({"durable": False}, "off"), ({}, "on")):
        with two[0].writing(alone=False, **options) as session:
            assert session.scalar(waited) == expected
