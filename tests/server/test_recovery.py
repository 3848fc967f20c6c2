"""Recovery: which rows a replica takes up, and when it may."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.jobs.context import JobContext
from server.jobs.in_flight import InFlight
from server.jobs.lease import Lease
from server.jobs.recovery import Recovery
from server.storage.database import Database
from server.storage.held_jobs import HeldJobs
from server.storage.record_store import RecordStore
from server.storage.records import IN_PROGRESS, QUEUED, VideoRecord
from server.storage.replica_table import LEASE_S, ReplicaTable
from tests.server.databases import emptied
from tests.server.test_dispatcher import row
from tests.server.test_leases import held, replica, silent


@pytest.fixture
def shared(postgres_url: str) -> Generator[Database]:
    database = emptied(postgres_url)
    yield database
    database.close()


def test_a_replica_that_was_silent_itself_leaves_the_jobs_of_silent_ones(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the database was away, no replica was seen. The first one back waits for the others."""
    table = ReplicaTable(shared)
    table.join(replica("other"))
    silent(shared, "other", LEASE_S + 1)
    lease = Lease(table, replica("me"))
    lease.take()
    held(
        shared,
        row("of-silent", status=IN_PROGRESS, replica="other"),
        row("of-gone", status=IN_PROGRESS, replica="gone"),
    )
    records = RecordStore(shared)
    context = cast(JobContext, SimpleNamespace(lease=lease, records=records))

    def swept() -> dict[str, Any]:
        Recovery(context, HeldJobs(shared, "me"), InFlight()).sweep()
        found = records.all(VideoRecord, VideoRecord.id.is_not(None))
        return {one.id: (one.status, one.replica) for one in found}

    assert swept() == {"of-silent": (IN_PROGRESS, "other"), "of-gone": (QUEUED, None)}
    monkeypatch.setattr(lease, "_since", lease._since - LEASE_S)
    assert swept() == {"of-silent": (QUEUED, None), "of-gone": (QUEUED, None)}
