"""Leases: who counts as alive, whose jobs may be taken up, and what is counted over all."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from server.jobs.lease import Lease, replica_of
from server.settings import Settings
from server.storage.database import Database
from server.storage.held_jobs import HeldJobs
from server.storage.job_queue import JobQueue
from server.storage.job_version import JOB_VERSION
from server.storage.lock import DataLock, Holder
from server.storage.record_store import RecordStore
from server.storage.records import COMPLETED, IN_PROGRESS, QUEUED, VideoRecord
from server.storage.replica_rows import ReplicaRow
from server.storage.replica_table import KEPT_S, LEASE_S, ReplicaTable, UsedByAnother
from tests.server.databases import emptied
from tests.server.test_dispatcher import row

BUCKET = "s3://bucket/prefix"


@pytest.fixture
def shared(postgres_url: str) -> Any:
    database = emptied(postgres_url)
    yield database
    database.close()


def replica(name: str, *, store: str = BUCKET, slots: int = 4) -> ReplicaRow:
    settings = Settings.model_validate({"store": store, "videos_in_flight": slots})
    return replica_of(settings, name)


def silent(database: Database, name: str, seconds: float) -> None:
    """Have a replica not be seen for this long."""
    with database.writing() as session:
        then = database.clock - seconds
        session.execute(update(ReplicaRow).where(ReplicaRow.id == name).values(seen_at=then))


def held(database: Database, *rows: VideoRecord) -> dict[str, VideoRecord]:
    records = RecordStore(database)
    return {one.id: records.accept(one, limit=100) for one in rows}


def lost(database: Database, *, by_silence: bool, me: str = "me") -> list[str]:
    found = HeldJobs(database, me).lost(VideoRecord, by_silence=by_silence)
    return [one.id for one in found]


def test_one_replica_leads_and_slots_are_those_of_the_living(shared: Database) -> None:
    table = ReplicaTable(shared)
    first = table.join(replica("a"))
    assert (first.leads, first.slots) == (True, 4)
    second = table.join(replica("b", slots=6))
    assert (second.leads, second.slots) == (False, 10)
    silent(shared, "a", LEASE_S + 1)
    led = table.renew("b")
    assert led is not None
    assert (led.leads, led.slots) == (True, 6)
    assert table.renew("a") is None, "its lease is over"
    assert not table.join(replica("a")).leads, "it begins again"
    assert table.renew("a") is not None
    table.leave("b")
    assert table.ids() == {"a"}
    table.join(replica("b"))
    silent(shared, "a", LEASE_S + 1)
    table.sweep()
    assert table.ids() == {"a", "b"}
    silent(shared, "a", KEPT_S + 1)
    table.sweep()
    assert table.ids() == {"b"}


def test_places_and_audits_are_those_of_servers_that_can_work(shared: Database) -> None:
    table = ReplicaTable(shared)
    loading = table.join(replica("loading", slots=8))
    assert (loading.slots, loading.audits) == (8, False)  # the places that there will be
    for name in ("works", "drains"):
        ready = replica(name, slots=2)
        ready.model = "starter"
        table.join(ready)
    standing = table.renew("works")
    assert standing is not None
    assert (standing.leads, standing.slots, standing.audits) == (False, 4, True)
    assert table.drain("drains")
    standing = table.renew("works")
    assert standing is not None
    assert (standing.slots, standing.workers) == (2, 1)
    assert table.drain("works")
    drained = table.renew("works")
    assert drained is not None
    assert not drained.audits


def test_a_drain_that_was_told_to_a_silent_replica_is_learned_when_it_is_back(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = ReplicaTable(shared)
    lease = Lease(table, replica("me"))
    lease.take()
    told: list[str] = []
    monkeypatch.setattr(lease, "on_drain", lambda: told.append("drain"))
    assert table.drain("me")
    silent(shared, "me", LEASE_S + 1)
    lease.renew_soon()
    lease.start()
    until = time.monotonic() + 30
    while not told and time.monotonic() < until:
        time.sleep(0.01)
    assert told == ["drain"]
    assert [one.row.draining for one in table.listed()] == [True]
    lease.end()


def test_a_replica_whose_files_are_elsewhere_is_refused_while_the_other_lives(
    shared: Database,
) -> None:
    table = ReplicaTable(shared)
    table.join(replica("a"))
    for store in ("", "s3://bucket/other"):
        with pytest.raises(UsedByAnother, match="in different places"):
            table.join(replica("b", store=store))
        assert table.refused is not None
    silent(shared, "a", LEASE_S + 1)
    table.join(replica("b", store=""))
    assert table.refused is None
    with pytest.raises(UsedByAnother):
        table.join(replica("a"))
    table.join(replica("c", store=""), before="b")  # the lock of its directory says that b is dead
    assert table.ids() == {"a", "c"}


def test_only_jobs_of_dead_replicas_are_lost(shared: Database) -> None:
    table = ReplicaTable(shared)
    for name in ("me", "living", "silent"):
        table.join(replica(name))
    silent(shared, "silent", LEASE_S + 1)
    held(
        shared,
        row("mine", status=IN_PROGRESS, replica="me"),
        row("theirs", status=IN_PROGRESS, replica="living"),
        row("of-silent", status=IN_PROGRESS, replica="silent"),
        row("of-gone", replica="gone"),
        row("of-gone-ended", status=COMPLETED, replica="gone"),
        row("of-earlier-version", status=IN_PROGRESS),
        row("waits"),
    )
    assert lost(shared, by_silence=False) == ["of-gone", "of-earlier-version"]
    assert lost(shared, by_silence=True) == ["of-silent", "of-gone", "of-earlier-version"]


def test_the_lock_of_the_directory_says_that_the_others_are_dead(tmp_path: Path) -> None:
    from server.storage.sqlite_database import SqliteDatabase

    database = SqliteDatabase(tmp_path / "records.sqlite")
    table = ReplicaTable(database)
    table.join(replica("earlier", store=""))
    held(database, row("left", status=IN_PROGRESS, replica="earlier"))
    lease = Lease(table, replica("me", store=""))
    lease.take()
    assert lost(database, by_silence=False) == ["left"]
    silent(database, "me", LEASE_S * 100)  # no heartbeat is needed
    assert lease.is_held
    assert lease.leads
    assert table.ids() == {"me"}
    lease.end()
    assert table.ids() == set()


def test_what_is_given_back_is_this_replicas(database: Database) -> None:
    rows = held(
        database,
        row("begun", status=IN_PROGRESS, replica="me", attempt=1),
        row("not-begun", replica="me", attempt=1),
        row("theirs", status=IN_PROGRESS, replica="other", attempt=1),
    )
    mine, records = HeldJobs(database, "me"), RecordStore(database)

    def states() -> dict[str, tuple[str, str | None, int]]:
        found = records.all(VideoRecord)
        return {one.id: (one.status, one.replica, one.attempt) for one in found}

    mine.give_back(begun=False)
    assert states()["not-begun"] == (QUEUED, None, 2)
    assert states()["begun"] == (IN_PROGRESS, "me", 1)
    mine.give_back(begun=True)
    assert states()["begun"] == (QUEUED, None, 2)
    assert states()["theirs"] == (IN_PROGRESS, "other", 1)
    assert not records.change(rows["begun"], status=COMPLETED), "an earlier attempt counts"


def test_no_two_replicas_take_a_row_and_limits_are_exact(database: Database) -> None:
    held(database, *(row(f"v{n}", owner) for n, owner in enumerate("aab" * 10)))
    limit, taken = 4, list[tuple[str, str]]()

    def take(name: str) -> None:
        queue = JobQueue(database, name)
        for _ in range(6):
            with queue.turn(VideoRecord) as turn:
                running = turn.in_flight()
                for owner, _ in turn.owners():
                    record = turn.oldest(owner, set())
                    if running[owner] < limit and record is not None and turn.take(record):
                        taken.append((record.owner, record.id))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, ["r1", "r2", "r3", "r4"]))
    assert Counter(owner for owner, _ in taken) == {"a": limit, "b": limit}
    assert len({name for _, name in taken}) == 2 * limit
    assert JobQueue(database, "r1").in_flight(VideoRecord) == {"a": limit, "b": limit}


def test_a_job_that_a_later_version_accepted_is_left_to_servers_of_that_version(
    database: Database,
) -> None:
    later = {"job_version": JOB_VERSION + 1, "interruptions": 5}
    found = held(database, row("later", "a", **later), row("theirs", "b", **later))
    queue = JobQueue(database, "me")
    assert queue.is_empty(VideoRecord)
    with queue.turn(VideoRecord) as turn:
        assert list(turn.owners()) == []
        assert turn.oldest("a", set()) is None
        assert turn.interrupted(1, set()) is None
        assert not turn.take(found["later"])
    held(database, row("mine", "b"), row("earlier", "c", job_version=JOB_VERSION - 1))
    with queue.turn(VideoRecord) as turn:
        assert [one.owner for one in turn.owners()] == ["b", "c"]
        oldest = turn.oldest("b", set())
        assert oldest is not None
        assert oldest.id == "mine"
        assert turn.take(oldest)


def test_after_its_own_silence_a_replica_takes_nobody_for_dead(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("server.jobs.lease.time.monotonic", lambda: now)
    lease = Lease(ReplicaTable(shared), replica("me"))
    lease.take()
    assert lease.is_held
    assert not lease.knows_silence
    now += LEASE_S - 1
    lease._renew()
    now += 2
    assert lease.knows_silence
    now += LEASE_S  # it was stopped, or the database was away
    assert not lease.is_held
    lease._renew()
    assert lease.is_held
    assert not lease.knows_silence


def test_the_lock_names_the_replica_that_held_it_before(tmp_path: Path) -> None:
    first = DataLock(tmp_path)
    first.take(Holder(7, None, "first"))
    first.release()
    command = DataLock(tmp_path)
    command.take()
    command.release()
    second = DataLock(tmp_path)
    second.take(Holder(8, None, "second"))
    assert (first.before, second.before) == ("", "first")
    second.release()
