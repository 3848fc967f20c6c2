"""Tracking of jobs: follows their tickets in the engine, and writes how they ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, TypeVar

from encoders import PalimpsestError
from server.jobs.job_spans import JobSpans
from server.jobs.storage_wait import StorageWait
from server.metrics import Metrics
from server.outage import is_outage
from server.storage.record_store import RecordStore
from server.storage.records import FAILED, EncoderRecord, JobRecord, VideoRecord

if TYPE_CHECKING:
    from video.engine.ticket import Ticket

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_WRITE_INTERVAL_S = 0.2
"""Least time between two writes of a job's progress: a denoising step can take a millisecond, and
every write waits for the disk."""


class JobDeleted(Exception):
    """The job was deleted while the server worked on it."""


class StepProgress:
    """Progress of a ticket that does not know it: an iterator's ticket stays at 0 until it is done.

    One thread advances it, `JobTracker.follow` reads it.
    """

    def __init__(self) -> None:
        self.share = 0.0
        """Share of the work that is done, 0 to 1."""
        self._on_change: Callable[[], None] = lambda: None

    def advance(self, share: float) -> None:
        """Set the share, and wake the follower."""
        self.share = share
        self._on_change()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` at every advance from now on."""
        self._on_change = callback


@dataclass
class _Doubt:
    """A doubt if an attempt at a job still counts."""

    changed: Event
    """Wakes the thread that follows the job."""
    is_raised: bool = False


class JobTracker:
    """The tickets of the jobs in the engine, and the end of every job."""

    def __init__(self, records: RecordStore, metrics: Metrics, storage: StorageWait) -> None:
        self._records = records
        self._metrics = metrics
        self._storage = storage
        self.spans = JobSpans()
        self._tickets: dict[str, Sequence[Ticket[Any]]] = {}
        self._doubts: dict[str, _Doubt] = {}
        self._spent: dict[str, float] = {}  # seconds of the device, by job
        self._lock = Lock()

    def follow(
        self,
        job_id: str,
        tickets: Sequence[Ticket[Result]],
        report: Callable[[float | None], bool],
        progress: StepProgress | None = None,
    ) -> list[Result]:
        """Wait for the results of a job's tickets, and report progress meanwhile.

        If one ticket fails, the others are cancelled.

        Args:
            job_id: The job; `cancel` finds the tickets by it.
            tickets: Work in the engine.
            report: Is given the share that is done, 0 to 1, or None before the work begins; returns
                False if the job's row is gone.
            progress: Share that is done; None takes the mean of the tickets.

        Raises:
            JobDeleted: `report` returned False.
            Exception: The error of the first ticket that failed.
        """
        changed, ended = Event(), Event()

        def on_change(ticket: Ticket[Result]) -> None:
            if ticket.done():
                ended.set()
            changed.set()

        doubt = _Doubt(changed)
        with self._lock:
            self._tickets[job_id] = tickets
            self._doubts[job_id] = doubt
        try:
            for ticket in tickets:
                ticket.on_change(partial(on_change, ticket))
            if progress is not None:
                progress.on_change(changed.set)
            reported: float | None = -1.0
            while True:
                changed.clear()
                ended.clear()
                results = [ticket.result() for ticket in tickets if ticket.done()]
                if len(results) == len(tickets):
                    return results
                share = _share_of(tickets, progress)
                if share != reported or doubt.is_raised:
                    doubt.is_raised = False
                    reported = share
                    if not report(share):
                        raise JobDeleted
                    if share is not None:
                        ended.wait(_WRITE_INTERVAL_S)
                changed.wait()
        finally:
            with self._lock:
                self._tickets.pop(job_id, None)
                self._doubts.pop(job_id, None)
                seconds = sum(ticket.device_seconds for ticket in tickets)
                self._spent[job_id] = self._spent.get(job_id, 0.0) + seconds
            for ticket in tickets:
                ticket.cancel()

    def cancel(self, record: JobRecord) -> None:
        """Stop work on a job whose row is gone or ended.

        Returns at once; the engine stops within a step.
        """
        self.end_work(record.job_id)

    def end_work(self, job_id: str) -> None:
        """Stop work on a job that is not this process's, as `cancel` does."""
        with self._lock:
            tickets = self._tickets.get(job_id, ())
        for ticket in tickets:
            ticket.cancel()

    def doubt(self, job_id: str | None) -> None:
        """Have a job's row looked at, since this attempt may count for nothing more; None: of all.

        Returns at once. If it is so, `follow` raises JobDeleted soon.
        """
        with self._lock:
            ids = list(self._doubts) if job_id is None else [job_id]
            for doubt in (self._doubts[each] for each in ids if each in self._doubts):
                doubt.is_raised = True
                doubt.changed.set()

    def end(self, record: JobRecord, **values: Any) -> bool:
        """Write a job's end and count it. Return False if the job was deleted meanwhile.

        The device's time for the job is counted for its owner in the same transaction. An outage
        of storage is waited out.

        Raises:
            ServerStopping: The server stopped first.
        """

        def write() -> bool:
            nonlocal now
            now = int(time.time())
            if isinstance(record, VideoRecord):
                values["expires_at"] = now + record.lifetime
            return self._records.change(record, completed_at=now, device_seconds=seconds, **values)

        now, seconds = 0, self._take_spent(record)
        if not self._storage.run(f"the end of job {record.job_id}", write):
            return False
        kind = "video" if isinstance(record, VideoRecord) else "encoder"
        status, reason = values["status"], values.get("error_code") or ""
        self.spans.ended(record, status, reason)
        self._metrics.jobs_ended.labels(kind, status, reason).inc()
        self._metrics.key_jobs_ended.labels(record.owner, kind, status).inc()
        self._metrics.job_seconds.labels(kind).observe(now - record.created_at)
        ended = {"kind": kind, "job": record.job_id, "status": status, "reason": reason}
        log.info("job ended", extra={**ended, "seconds": now - record.created_at})
        return True

    def settle(self, record: JobRecord) -> None:
        """Count the device's time for a job that was deleted, unless storage is out."""
        seconds = self._take_spent(record)
        try:
            if seconds:
                self._records.count_device_seconds(record.owner, seconds)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("%.1f s of deleted job %s are not counted", seconds, record.job_id)

    def _take_spent(self, record: JobRecord) -> float:
        with self._lock:
            seconds = self._spent.pop(record.job_id, 0.0)
        kind = "video" if isinstance(record, VideoRecord) else "encoder"
        self._metrics.key_device_seconds.labels(record.owner, kind).inc(seconds)
        return seconds

    def fail(self, record: JobRecord, error: Exception) -> bool:
        """End a job with an error. Only the text of a `PalimpsestError` is meant for the caller.

        Return False if the job was deleted, or a later attempt works on it.
        """
        if isinstance(error, PalimpsestError):
            code, message = getattr(error, "reported_code", error.code), str(error)
        elif isinstance(error, OSError):
            code, message = "storage_error", f"The result could not be stored: {error.strerror}."
        else:
            code, message = "internal_error", "Something went wrong in the server."
        is_expected = isinstance(error, PalimpsestError)
        log.warning("%s failed: %s", record.id, message, exc_info=None if is_expected else error)
        values: dict[str, Any] = {"status": FAILED, "error_code": code, "error_message": message}
        if isinstance(record, EncoderRecord):
            values["phase"] = FAILED
        return self.end(record, **values)


def workflow_id(record: JobRecord) -> str:
    """Return the id of the DBOS workflow that works on the job."""
    return f"{record.job_id}-{record.attempt}"


def _share_of(tickets: Sequence[Ticket[Any]], progress: StepProgress | None) -> float | None:
    if all(ticket.state == "queued" for ticket in tickets):
        return None
    if progress is not None:
        return progress.share
    return sum(ticket.progress for ticket in tickets) / len(tickets)
