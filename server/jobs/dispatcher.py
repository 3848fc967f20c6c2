"""Dispatcher: starts the jobs whose rows are pending, in fair order, and finds those left behind.

The rows are the queue. Whatever is pending and not worked on by this process is started sooner or
later, so nothing but the row's commit is needed to accept a job.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from encoders import PalimpsestError
from server.jobs.context import JobContext
from server.jobs.in_flight import InFlight
from server.jobs.storage_wait import ServerStopping
from server.jobs.workflows import Workflows
from server.outage import brief, is_outage
from server.storage.job_queue import JobQueue
from server.storage.records import (
    IN_PROGRESS,
    QUEUED,
    EncoderRecord,
    JobRecord,
    VideoRecord,
)
from server.storage.storage_errors import DatabaseUnusable

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 2.0
_LOADING_INTERVAL_S = 0.1
SHARED_INTERRUPTIONS = 3
"""A video is a suspect once the server was killed this often while it worked on it. After a start
suspects are made first, one at a time and with no other video beside them: if one is the cause, no
other video counts the next kill, and if it is not, it is done."""
SUSPECTS_S = 120.0
"""Longest time after a start for which other videos wait for suspects. Those that are left then
start like any other."""
ALONE_S = 30.0
"""Longest time for which a video is made alone; then the next one starts beside it."""
MAX_INTERRUPTIONS = 20
"""A job is given up when the server was killed this often while it worked on it, and the job saved
nothing in between: the job may be the cause."""


class Abandoned(PalimpsestError):
    """The job is not tried again."""

    code = "abandoned"


class Dispatcher:
    """The thread that starts jobs.

    Args:
        context: Parts of the server that the jobs use.
        queue: The pending rows.
        limit_of: Returns the number of an owner's videos that may be in flight.
    """

    def __init__(
        self, context: JobContext, queue: JobQueue, limit_of: Callable[[str], int]
    ) -> None:
        self._context = context
        self._queue = queue
        self._limit_of = limit_of
        self._in_flight = InFlight()
        self._workflows = Workflows(context, self._ended)
        self._wake = Event()
        self._thread = Thread(target=self._run, name="palimpsest-dispatcher", daemon=True)
        self._recovered = False
        self._suspects_until: float | None = None  # until the first video can be started
        self._swept = -SWEEP_INTERVAL_S

    def start(self) -> None:
        """Begin with the rows that an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Look for rows to start, now. Returns at once."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Start nothing more, and queue the jobs that do not end within `timeout_s` seconds.

        `JobContext.stopping` must be set, and the engine stopped.
        """
        until = time.monotonic() + timeout_s
        self._wake.set()
        self._thread.join(timeout_s)
        while len(self._in_flight) > 0 and time.monotonic() < until:
            time.sleep(0.02)
        try:
            if self._recovered:
                # So the next start knows that no kill interrupted them.
                self._queue.put_back()
        except Exception as error:
            log.warning("stopped jobs count as interrupted: %s", brief(error))
        self._workflows.close()

    def in_flight(self, table: type[VideoRecord] | type[EncoderRecord]) -> Counter[str]:
        """Return the number of jobs of a kind that are worked on, by owner."""
        return self._in_flight.by_owner(table)

    def _run(self) -> None:
        troubled = False
        while not self._context.stopping.is_set():
            self._wake.clear()
            pause = SWEEP_INTERVAL_S
            try:
                if not self._recovered:
                    self._recover()
                    self._recovered = True
                self._workflows.open()
                self._sweep()
                if self._context.loaded() is None:
                    pause = _LOADING_INTERVAL_S
                else:
                    slots = self._context.settings.videos_in_flight
                    self._start_suspects(slots)
                    if not self._in_flight.has_one_alone():
                        self._top_up(VideoRecord, slots)
                    # One encoder at a time: each takes the device's spare time for a minute.
                    self._top_up(EncoderRecord, 1)
                troubled = False
            except ServerStopping:
                return
            except Exception as error:
                if not is_outage(error):
                    log.exception("jobs cannot be started just now")
                elif not troubled and not isinstance(error, DatabaseUnusable):  # that is logged
                    log.warning("storage cannot be used, so no job is started: %s", brief(error))
                troubled = True
            self._wake.wait(pause)

    def _recover(self) -> None:
        """Queue the jobs that a killed process was working on, and count the interruption."""
        context = self._context
        for table in (VideoRecord, EncoderRecord):
            for record in context.records.all(table, table.status == IN_PROGRESS):
                count = record.interruptions + 1
                if count > MAX_INTERRUPTIONS:
                    message = f"The server was killed {count} times while it worked on this job."
                    context.fail(record, Abandoned(message))
                else:
                    self._requeue(record, interruptions=count)

    def _sweep(self) -> None:
        """Queue the jobs whose workflow has died, if that is due."""
        if time.monotonic() < self._swept + SWEEP_INTERVAL_S:
            return
        records = self._context.records
        for table in (VideoRecord, EncoderRecord):
            for record in records.all(table, table.status == IN_PROGRESS):
                if record.job_id not in self._in_flight and self._requeue(record):
                    log.warning("job %s was left behind, and is taken up again", record.job_id)
        self._swept = time.monotonic()

    def _requeue(self, record: JobRecord, **values: Any) -> bool:
        # The new attempt shuts out the old one, should it still write.
        return self._context.records.change(
            record, status=QUEUED, attempt=record.attempt + 1, **values
        )

    def _start_suspects(self, slots: int) -> None:
        """Start suspects after a start of the server: alone, the oldest first."""
        if self._suspects_until is None:
            self._suspects_until = time.monotonic() + SUSPECTS_S
        while not self._in_flight.has_one_alone():
            left_s = self._suspects_until - time.monotonic()
            record = self._next_suspect(slots) if left_s > 0 else None
            if record is None:
                self._suspects_until = 0.0
                return
            self._start(record, alone_s=min(ALONE_S, left_s))

    def _next_suspect(self, slots: int) -> VideoRecord | None:
        """Return the oldest suspect that may start, or None."""
        running = self._in_flight.by_owner(VideoRecord)
        besides = self._in_flight.not_startable()
        while running.total() < slots and not self._context.stopping.is_set():
            record = self._queue.interrupted(SHARED_INTERRUPTIONS, besides)
            if record is None or running[record.owner] < self._limit_of(record.owner):
                return record
            besides.add(record.id)
        return None

    def _top_up(self, table: type[VideoRecord] | type[EncoderRecord], slots: int) -> None:
        """Start queued jobs of one kind, while there are slots: by owner, then by age."""
        running = self._in_flight.by_owner(table)
        free = slots - running.total()
        owners = dict(self._queue.owners(table)) if free > 0 else {}
        while free > 0 and owners and not self._context.stopping.is_set():
            owner = min(
                owners,
                key=lambda name: (running[name], self._in_flight.last_start(name), owners[name]),
            )
            if table is VideoRecord and running[owner] >= self._limit_of(owner):
                del owners[owner]
                continue
            record = self._queue.oldest(table, owner, self._in_flight.not_startable())
            if record is None:
                del owners[owner]
            elif self._start(record):
                running[owner] += 1
                free -= 1

    def _start(self, record: JobRecord, *, alone_s: float = 0.0) -> bool:
        """Start a new attempt. Return False if the job has ended or was deleted just now."""
        if not self._context.records.change(record, attempt=record.attempt + 1):
            return False
        record.attempt += 1
        self._in_flight.add(record, alone_s=alone_s)
        try:
            self._workflows.start(record)
        except BaseException:
            self._in_flight.remove(record.job_id, record.attempt)
            self._in_flight.hold_back(record.job_id)
            raise
        return True

    def _ended(self, job_id: str, attempt: int, error: BaseException | None) -> None:
        if error is not None and not self._context.stopping.is_set():
            log.warning("the workflow of job %s ended: %s", job_id, brief(error))
            self._in_flight.hold_back(job_id)
        self._in_flight.remove(job_id, attempt)
        self._wake.set()
