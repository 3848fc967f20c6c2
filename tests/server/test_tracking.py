"""Following a job's tickets: results, progress that is pushed, errors, deletion."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from server.jobs import tracking
from server.jobs.storage_wait import StorageWait
from server.jobs.tracking import JobDeleted, JobTracker, StepProgress
from server.metrics import Metrics
from server.storage.record_store import RecordStore
from server.storage.sqlite_database import SqliteDatabase
from tests.server.help import SERVER_TIMEOUT_S
from video.engine.ticket import OutOfMemory, Ticket


class Followed:
    """A job that is followed on a thread of its own, with what is reported of it."""

    def __init__(
        self, tracker: JobTracker, tickets: list[Ticket[int]], progress: StepProgress | None = None
    ) -> None:
        self.reported: list[float | None] = []
        self.told = Event()
        self.is_there = True
        pool = ThreadPoolExecutor(1)
        self.results: Future[list[int]] = pool.submit(
            tracker.follow, "job", tickets, self._report, progress
        )
        pool.shutdown(wait=False)
        assert self.told.wait(SERVER_TIMEOUT_S)

    def _report(self, share: float | None) -> bool:
        self.reported.append(share)
        self.told.set()
        return self.is_there

    def wait_for(self, share: float) -> None:
        until = time.monotonic() + SERVER_TIMEOUT_S
        while share not in self.reported:
            assert time.monotonic() < until, self.reported
            time.sleep(0.005)


@pytest.fixture
def tracker(tmp_path: Path) -> JobTracker:
    records = RecordStore(SqliteDatabase(tmp_path / "records.sqlite"))
    return JobTracker(records, Metrics(), StorageWait(Event(), tmp_path))


def test_results_come_in_the_order_of_the_tickets(tracker: JobTracker) -> None:
    first, second = Ticket[int](), Ticket[int]()
    followed = Followed(tracker, [first, second])
    second.complete(2)
    first.complete(1)
    assert followed.results.result(SERVER_TIMEOUT_S) == [1, 2]
    assert tracker.follow("none", [], lambda _: True) == []


def test_progress_is_the_mean_of_the_tickets_and_none_before_they_begin(
    tracker: JobTracker,
) -> None:
    tickets = [Ticket[int](), Ticket[int]()]
    followed = Followed(tracker, tickets)
    assert followed.reported == [None]
    tickets[0].advance(0.5)
    followed.wait_for(0.25)
    tickets[1].advance(0.25)
    followed.wait_for(0.375)
    for ticket in tickets:
        ticket.complete(0)
    assert followed.results.result(SERVER_TIMEOUT_S) == [0, 0]


def test_an_iterators_progress_is_pushed_item_by_item(tracker: JobTracker) -> None:
    ticket, progress = Ticket[int](), StepProgress()
    followed = Followed(tracker, [ticket], progress)
    ticket.advance(0.0)
    followed.wait_for(0.0)
    for share in (0.2, 0.6, 1.0):
        progress.advance(share)
        followed.wait_for(share)
    ticket.complete(7)
    assert followed.results.result(SERVER_TIMEOUT_S) == [7]


def test_steps_between_two_writes_are_gathered_but_the_end_is_seen_at_once(
    tracker: JobTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_WRITE_INTERVAL_S", 600.0)
    ticket = Ticket[int]()
    followed = Followed(tracker, [ticket])
    ticket.advance(0.01)
    followed.wait_for(0.01)
    for step in range(2, 100):
        ticket.advance(step / 100)
    ticket.complete(1)
    assert followed.results.result(SERVER_TIMEOUT_S) == [1]
    assert followed.reported == [None, 0.01]


def test_a_failure_is_raised_at_once_and_cancels_the_others(tracker: JobTracker) -> None:
    slow, failing = Ticket[int](), Ticket[int]()
    followed = Followed(tracker, [slow, failing])
    failing.fail(OutOfMemory("no room"))
    with pytest.raises(OutOfMemory, match="no room"):
        followed.results.result(SERVER_TIMEOUT_S)
    assert slow.cancel_requested


def test_a_deleted_job_is_given_up(tracker: JobTracker) -> None:
    ticket = Ticket[int]()
    followed = Followed(tracker, [ticket])
    followed.is_there = False
    ticket.advance(0.1)
    with pytest.raises(JobDeleted):
        followed.results.result(SERVER_TIMEOUT_S)
    assert ticket.cancel_requested


@pytest.mark.parametrize("doubted", ["job", None])
def test_a_job_that_waits_is_given_up_once_it_is_in_doubt_and_gone(
    tracker: JobTracker, doubted: str | None
) -> None:
    ticket = Ticket[int]()
    followed = Followed(tracker, [ticket])
    tracker.doubt("another")
    tracker.doubt(doubted)  # without a reason
    until = time.monotonic() + SERVER_TIMEOUT_S
    while len(followed.reported) < 2:
        assert time.monotonic() < until, "nobody looked at the row"
        time.sleep(0.005)
    assert not ticket.cancel_requested
    followed.is_there = False
    tracker.doubt(doubted)
    with pytest.raises(JobDeleted):
        followed.results.result(SERVER_TIMEOUT_S)
    assert ticket.cancel_requested
