"""Recovery: jobs that nobody works on any more, and work on jobs that are another replica's by now.

A replica touches no job of a living one (`server.jobs.lease`).
"""

from __future__ import annotations

import logging
import time
from typing import Any

from encoders import PalimpsestError
from server.jobs.context import JobContext
from server.jobs.in_flight import InFlight
from server.storage.held_jobs import HeldJobs
from server.storage.records import IN_PROGRESS, QUEUED, EncoderRecord, JobRecord, VideoRecord

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 2.0
MAX_INTERRUPTIONS = 20
"""A job is given up when the server was killed this often while it worked on it, and the job saved
nothing in between: the job may be the cause."""


class Abandoned(PalimpsestError):
    """The job is not tried again."""

    code = "abandoned"


class Recovery:
    """The sweeps of one replica over the rows that replicas work on.

    Args:
        context: Parts of the server that the jobs use.
        held: The rows.
        in_flight: The jobs that this process works on.
    """

    def __init__(self, context: JobContext, held: HeldJobs, in_flight: InFlight) -> None:
        self._context = context
        self._held = held
        self._in_flight = in_flight
        self._swept = -SWEEP_INTERVAL_S

    def sweep(self) -> None:
        """Look through the rows, if that is due. Call it where no job is started meanwhile."""
        if time.monotonic() < self._swept + SWEEP_INTERVAL_S:
            return
        lease = self._context.lease
        if lease.is_held:
            self.compare()
            for table in (VideoRecord, EncoderRecord):
                for record in self._held.lost(table, by_silence=lease.knows_silence):
                    self._take_over(record)
        self._swept = time.monotonic()

    def compare(self) -> None:
        """Queue what this replica has and does not work on; end work on what it has not.

        Call it where no job is started meanwhile.
        """
        self._compare(VideoRecord)
        self._compare(EncoderRecord)

    def _compare(self, table: type[VideoRecord] | type[EncoderRecord]) -> None:
        """Queue what this replica has and does not work on; end work on what it has not."""
        own = self._held.own(table)
        running = self._in_flight.attempts(table)
        for record in own:
            if running.get(record.job_id) is None and self._requeue(record):
                log.warning("job %s was left behind, and is taken up again", record.job_id)
        attempts = {record.job_id: record.attempt for record in own}
        for job_id, attempt in running.items():
            if attempts.get(job_id) != attempt:  # deleted, ended, or taken up by another
                self._context.tracker.end_work(job_id)

    def _take_over(self, record: JobRecord) -> None:
        """Queue a job of a dead replica. It was interrupted if it had begun."""
        count = record.interruptions + (record.status == IN_PROGRESS)
        if count > MAX_INTERRUPTIONS:
            message = f"The server was killed {count} times while it worked on this job."
            self._context.fail(record, Abandoned(message))
        elif self._requeue(record, interruptions=count):
            log.info("job %s of replica %s, which is gone", record.job_id, record.replica)

    def _requeue(self, record: JobRecord, **values: Any) -> bool:
        # The new attempt shuts out the old one, should it still write.
        return self._context.records.change(
            record, status=QUEUED, replica=None, attempt=record.attempt + 1, **values
        )
