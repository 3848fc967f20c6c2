"""Durable jobs: DBOS workflows on SQLite beside the data.

A job is a row in :mod:`server.storage.records` and a workflow that works on it. What was accepted
survives
a kill: at the next start DBOS takes up the workflows that were running, and :meth:`Jobs.start`
starts one for every pending row that has none. Steps are idempotent; a job's row ends once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from dbos import DBOS, DBOSConfig, SetWorkflowID

from encoders import PalimpsestError
from server.jobs import encoder, video, workspace
from server.logs import REQUEST_ID
from server.storage.records import FAILED, IN_PROGRESS, PENDING, EncoderRecord, VideoRecord

if TYPE_CHECKING:
    from server.runtime import Runtime
    from video.engine.ticket import Ticket

log = logging.getLogger(__name__)

Result = TypeVar("Result")

VIDEOS, ENCODERS = "videos", "encoders"
# Recovery looks for workflows of this version and executor; it must not change with the code.
_VERSION, _EXECUTOR = "1", "palimpsest"
_MAX_INTERRUPTIONS = 20
"""A job under which the server went down so often is given up: it may be what brings it down."""

_running: Jobs | None = None
"""The jobs of this process: workflows are plain functions, and find their server here."""


class Jobs:
    """Starts, follows, cancels and ends the jobs of one server."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._tickets: dict[str, Sequence[Ticket[Any]]] = {}
        self._lock = threading.Lock()
        # No more clips are put into files at a time than there are cores for it, however many are
        # done at once: each takes a core, and some room.
        self._encoding = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="encode")

    def start(self) -> None:
        """Begin to work: on what was left unfinished, and on what is submitted."""
        global _running
        _running = self
        workspace.sweep(self.runtime)
        for record in self._pending():
            self._count_interruption(record)
        config: DBOSConfig = {
            "name": "palimpsest",
            "system_database_url": f"sqlite:///{self.runtime.settings.data_dir / 'jobs.sqlite'}",
            "application_version": _VERSION,
            "executor_id": _EXECUTOR,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()
        in_flight = self.runtime.settings.videos_in_flight
        # An encoder takes a minute: looking ten times a second for the next is not worth it.
        for name, concurrency, pause in ((VIDEOS, in_flight, 0.1), (ENCODERS, 1, 1.0)):
            DBOS.register_queue(name, worker_concurrency=concurrency, polling_interval_sec=pause)
        for record in self._pending():
            self._take_up(record)

    def stop(self) -> None:
        """Wait briefly for workflows to notice that the server stops, and leave the rest undone."""
        global _running
        _running = None
        DBOS.destroy(workflow_completion_timeout_sec=5)
        self._encoding.shutdown(cancel_futures=True)

    def submit(self, record: VideoRecord | EncoderRecord) -> None:
        """Start the workflow of an accepted job. Doing it twice starts one."""
        with SetWorkflowID(_workflow_id(record)):
            if isinstance(record, VideoRecord):
                DBOS.enqueue_workflow(VIDEOS, make_video, record.id)
            else:
                DBOS.enqueue_workflow(ENCODERS, make_encoder, record.job_id)

    def cancel(self, record: VideoRecord | EncoderRecord) -> None:
        """Stop working on a job whose row is gone; returns at once, the device within a step."""
        DBOS.cancel_workflow(_workflow_id(record))
        with self._lock:
            tickets = self._tickets.get(_job_id(record), ())
        for ticket in tickets:
            ticket.cancel()

    def follow(
        self,
        job_id: str,
        tickets: Sequence[Ticket[Result]],
        report: Callable[[float | None], bool],
        share: Callable[[], float] | None = None,
    ) -> list[Result]:
        """The tickets' results. ``report`` is told of progress (0 to 1; None: not begun), which is
        what ``share`` says, or else the tickets' mean.

        Raises:
            Gone: ``report`` said False, which means that the job's row is gone.
            Whatever the first ticket to fail raises. Either way the others are cancelled.
        """
        with self._lock:
            self._tickets[job_id] = tickets
        told: float | None = -1.0
        results: list[Result] = []
        try:
            while len(results) < len(tickets):
                begun = any(ticket.state != "queued" for ticket in tickets)
                done = sum(ticket.progress for ticket in tickets) / len(tickets)
                now = (share() if share is not None else done) if begun else None
                if now != told:
                    told = now
                    if not report(now):
                        raise Gone
                with suppress(TimeoutError):
                    results.append(tickets[len(results)].result(timeout=0.2))
            return results
        finally:
            with self._lock:
                self._tickets.pop(job_id, None)
            for ticket in tickets:
                ticket.cancel()

    def encoded(self, encode: Callable[[], Result]) -> Result:
        """What `encode` makes of a finished clip, once it is its turn."""
        return self._encoding.submit(encode).result()

    def fail(self, record: VideoRecord | EncoderRecord, error: Exception) -> None:
        """End a job with the reason a caller may see."""
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
            workspace.discard(self.runtime, record)
        self.end(record, **values)

    def end(self, record: VideoRecord | EncoderRecord, **values: Any) -> bool:
        """Write a job's end, and count it. False if it was deleted meanwhile."""
        now = int(time.time())
        if isinstance(record, VideoRecord):
            values["expires_at"] = now + record.lifetime
        if not self.runtime.records.change(record, completed_at=now, **values):
            return False
        kind = "video" if isinstance(record, VideoRecord) else "encoder"
        status, reason = values["status"], values.get("error_code") or ""
        self.runtime.metrics.jobs_ended.labels(kind, status, reason).inc()
        self.runtime.metrics.job_seconds.labels(kind).observe(now - record.created_at)
        ended = {"kind": kind, "job": _job_id(record), "status": status, "reason": reason}
        log.info("job ended", extra={**ended, "seconds": now - record.created_at})
        return True

    def _take_up(self, record: VideoRecord | EncoderRecord) -> None:
        """See to it that a pending job has a workflow that will work on it."""
        status = DBOS.get_workflow_status(_workflow_id(record))
        if status is not None and status.status in ("PENDING", "ENQUEUED", "DELAYED"):
            return
        if status is not None:  # it ended without ending the job, because the server was stopped
            record.attempt += 1
            self.runtime.records.change(record, attempt=record.attempt)
        self.submit(record)

    def _pending(self) -> list[VideoRecord | EncoderRecord]:
        records = self.runtime.records
        return [
            *records.all(VideoRecord, VideoRecord.status.in_(PENDING)),
            *records.all(EncoderRecord, EncoderRecord.status.in_(PENDING)),
        ]

    def _count_interruption(self, record: VideoRecord | EncoderRecord) -> None:
        """At start: note that the server went down while it worked on this, and when to give up."""
        if record.status != IN_PROGRESS:
            return
        interruptions = record.interruptions + 1
        if interruptions > _MAX_INTERRUPTIONS:
            self.fail(record, Abandoned("The server went down under this job again and again."))
        else:
            self.runtime.records.change(record, interruptions=interruptions)


class Stopped(Exception):
    """The server is stopping; the job goes on at the next start."""


class Gone(Exception):
    """The job was deleted while somebody worked on it."""


class Abandoned(PalimpsestError):
    """A job that will not be tried again."""

    code = "abandoned"


@DBOS.workflow(name="make_video", max_recovery_attempts=None)
def make_video(video_id: str) -> None:
    """One video, in one step."""
    DBOS.run_step({"name": "render"}, _render, video_id)


@DBOS.workflow(name="make_encoder", max_recovery_attempts=None)
def make_encoder(job_id: str) -> None:
    """One encoder, a step a phase; a phase that is done is not done again."""
    for phase in workspace.PHASES:
        if not DBOS.run_step({"name": phase}, _advance, job_id, phase):
            return


def _render(video_id: str) -> None:
    jobs = _jobs()
    record = jobs.runtime.records.get(
        VideoRecord, VideoRecord.id == video_id, VideoRecord.status.in_(PENDING)
    )
    if record is not None:
        _guarded(jobs, record, lambda: video.render(jobs, record))


def _advance(job_id: str, phase: str) -> bool:
    """Whether there is more to do."""
    jobs = _jobs()
    record = jobs.runtime.records.get(
        EncoderRecord, EncoderRecord.job_id == job_id, EncoderRecord.status.in_(PENDING)
    )
    if record is None:
        return False
    return _guarded(jobs, record, lambda: encoder.STEPS[phase](jobs, record))


def _guarded(jobs: Jobs, record: VideoRecord | EncoderRecord, work: Callable[[], None]) -> bool:
    """Whether the work was done. If not: the job has ended or is gone, or the server stops, and
    the next start takes up the job, whose row is still pending.
    """
    REQUEST_ID.set(record.request_id)
    try:
        work()
    except (Gone, Stopped):
        return False
    except Exception as error:
        cancelled = isinstance(error, PalimpsestError) and error.code == "cancelled"
        if not (cancelled or jobs.runtime.stopping.is_set()):
            jobs.fail(record, error)
        return False
    return True


def _jobs() -> Jobs:
    if _running is None:
        raise RuntimeError("no server is running in this process")
    return _running


def _job_id(record: VideoRecord | EncoderRecord) -> str:
    return record.id if isinstance(record, VideoRecord) else record.job_id


def _workflow_id(record: VideoRecord | EncoderRecord) -> str:
    return f"{_job_id(record)}-{record.attempt}"
