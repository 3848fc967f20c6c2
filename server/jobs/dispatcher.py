"""Dispatcher: starts the jobs whose rows are pending, in fair order, and finds those left behind.

The rows are the queue. Whatever is pending and no living replica's is started sooner or later, so
nothing but the row's commit is needed to accept a job.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from threading import Event, Thread
from typing import Any

from server.jobs.context import JobContext
from server.jobs.in_flight import InFlight
from server.jobs.placement import AHEAD, VideoLoad, suited
from server.jobs.recovery import Recovery
from server.jobs.storage_wait import ServerStopping
from server.jobs.workflows import Workflows
from server.outage import brief, is_outage
from server.roles import TAKES
from server.storage.held_jobs import HeldJobs
from server.storage.job_queue import JobQueue, Turn
from server.storage.records import EncoderRecord, JobRecord, VideoRecord
from server.storage.storage_errors import DatabaseUnusable

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 2.0
"""Time between two looks for rows that other replicas have accepted or left."""
_LOADING_INTERVAL_S = 0.1
_TAKEN_AT_ONCE = 4
"""Jobs that a replica takes before it is another one's turn: so idle ones share what comes."""
SHARED_INTERRUPTIONS = 3
"""A video is a suspect once the server was killed this often while it worked on it. After a start
suspects are made first, one at a time and with no other video beside them: if one is the cause, no
other video counts the next kill, and if it is not, it is done."""
SUSPECTS_S = 120.0
"""Longest time after a start for which other videos wait for suspects. Those that are left then
start like any other."""
ALONE_S = 30.0
"""Longest time for which a video is made alone; then the next one starts beside it."""


class Dispatcher:
    """The thread that starts jobs.

    Args:
        context: Parts of the server that the jobs use.
        queue: The pending rows.
        held: Those of them that replicas work on.
        limit_of: Returns the number of an owner's videos that may be in flight, on all replicas
            together.
    """

    def __init__(
        self,
        context: JobContext,
        queue: JobQueue,
        held: HeldJobs,
        limit_of: Callable[[str], int],
    ) -> None:
        self._context = context
        self._queue = queue
        self._held = held
        self._limit_of = limit_of
        self._in_flight = InFlight()
        self._recovery = Recovery(context, held, self._in_flight)
        self._workflows = Workflows(context, self._ended)
        self._wake = Event()
        self._thread = Thread(target=self._run, name="palimpsest-dispatcher", daemon=True)
        self._suspects_until: float | None = None  # until the first video can be started
        self._takes = TAKES[context.settings.role]
        self._drain_until: float | None = None

    def start(self) -> None:
        """Begin with the rows that dead processes left."""
        self._thread.start()

    def wake(self) -> None:
        """Look for rows to start, now. Returns at once."""
        self._wake.set()

    @property
    def is_draining(self) -> bool:
        """True once nothing more is started."""
        return self._drain_until is not None

    def drain(self, within_s: float) -> None:
        """Start nothing more, give back what the engine has not begun, and in the end the rest.

        Returns at once. A second call changes nothing.

        Args:
            within_s: Seconds that what is begun has to end.
        """
        if self._drain_until is None:
            self._drain_until = time.monotonic() + within_s
        self._wake.set()

    def wait_drained(self) -> None:
        """Wait until a drain is over: nothing is in flight, or its time is up."""
        assert self._drain_until is not None
        while len(self._in_flight) > 0 and time.monotonic() < self._drain_until:
            time.sleep(0.02)

    def stop(self, timeout_s: float) -> None:
        """Start nothing more, and give back the jobs that do not end within `timeout_s` seconds.

        `JobContext.stopping` must be set, and the engine stopped.
        """
        until = time.monotonic() + timeout_s
        self._wake.set()
        self._thread.join(timeout_s)
        self._give_back(begun=False)  # others need not wait for those that are begun
        while len(self._in_flight) > 0 and time.monotonic() < until:
            time.sleep(0.02)
        # So the next start, or another replica, knows that no kill interrupted them.
        self._give_back(begun=True)
        self._workflows.close()

    def in_flight(self, table: type[VideoRecord] | type[EncoderRecord]) -> Counter[str]:
        """Return the number of jobs of a kind that replicas work on, by owner."""
        return self._queue.in_flight(table)

    def running(self, table: type[VideoRecord] | type[EncoderRecord]) -> int:
        """Return the number of jobs of a kind that this process works on."""
        return self._in_flight.count(table)

    def _give_back(self, *, begun: bool) -> None:
        try:
            self._held.give_back(begun=begun)
        except Exception as error:
            log.warning("stopped jobs count as interrupted: %s", brief(error))

    def _run(self) -> None:
        troubled = False
        while not self._context.stopping.is_set():
            self._wake.clear()
            pause = LOOK_INTERVAL_S
            try:
                self._recovery.sweep()
                self._workflows.open()
                if self._drain_until is not None:
                    pause = self._drain(self._drain_until)
                elif self._takes and self._context.loaded() is None:
                    pause = _LOADING_INTERVAL_S
                elif self._context.lease.is_held:  # or another would take up at once what starts
                    self._start_waiting()
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

    def _start_waiting(self) -> None:
        if "video" in self._takes:
            slots = self._context.settings.videos_in_flight
            self._start_suspects(slots)
            if not self._in_flight.has_one_alone():
                self._top_up(VideoRecord, slots)
        if "encoder" in self._takes:
            # One encoder at a time: each takes the device's spare time for a minute.
            self._top_up(EncoderRecord, 1)

    def _drain(self, until: float) -> float:
        """Give back what is due; return the seconds until the next look."""
        if len(self._in_flight) == 0:
            return LOOK_INTERVAL_S
        left_s = until - time.monotonic()
        self._held.give_back(begun=left_s <= 0)
        self._recovery.compare()  # ends the work on what was given back
        return min(LOOK_INTERVAL_S, max(0.05, left_s))

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
        """Take the oldest suspect that may start, and return it; None if there is none."""
        if self._in_flight.count(VideoRecord) >= slots or self._queue.is_empty(VideoRecord):
            return None
        besides = self._in_flight.not_startable()
        with self._queue.turn(VideoRecord) as turn:
            running = turn.in_flight()
            while not self._context.stopping.is_set():
                record = turn.interrupted(SHARED_INTERRUPTIONS, besides)
                if record is None:
                    return None
                if running[record.owner] < self._limit_of(record.owner) and turn.take(record):
                    return record
                besides.add(record.id)
        return None

    def _top_up(self, table: type[VideoRecord] | type[EncoderRecord], slots: int) -> None:
        """Start queued jobs of one kind, while there are slots: by owner, then by age."""
        while free := max(0, slots - self._in_flight.count(table)):
            if self._queue.is_empty(table):
                return
            taken = self._take(table, min(free, _TAKEN_AT_ONCE))
            for record in taken:
                self._start(record)
            if not taken:
                return

    def _take(
        self, table: type[VideoRecord] | type[EncoderRecord], most: int
    ) -> Sequence[JobRecord]:
        """Have up to `most` rows be this replica's, and return them."""
        taken: list[JobRecord] = []
        besides = self._in_flight.not_startable()
        with self._queue.turn(table) as turn:
            running, owners = turn.in_flight(), dict(turn.owners())
            load = self._load(turn) if table is VideoRecord else None
            if load is not None:
                most = min(most, load.room(self._context.lease.workers))
            while len(taken) < most and owners and not self._context.stopping.is_set():
                owner = min(
                    owners,
                    key=lambda name: (
                        running[name],
                        self._in_flight.last_start(name),
                        owners[name],
                    ),
                )
                if table is VideoRecord and running[owner] >= self._limit_of(owner):
                    del owners[owner]
                    continue
                record = self._of_owner(turn, owner, besides, load)
                if record is None:
                    del owners[owner]
                elif turn.take(record):
                    running[owner] += 1
                    taken.append(record)
                    if load is not None and isinstance(record, VideoRecord):
                        load.took(record.frames)
        return taken

    def _load(self, turn: Turn[Any]) -> VideoLoad | None:
        """Return the videos in flight and waiting; None if placement has nothing to decide."""
        workers, settings = self._context.lease.workers, self._context.settings
        if workers < 2:
            return None
        waiting, oldest = turn.waiting(settings.videos_in_flight * workers)
        oldest_s = 0.0 if oldest is None else time.time() - oldest
        held, own = turn.held(), Counter[Hashable]()
        for (replica, frames), count in held.items():
            own[frames] += count if replica == self._context.lease.id else 0
        others = {frames for replica, frames in held if replica != self._context.lease.id}
        return VideoLoad(own, frozenset(others), held.total(), waiting, oldest_s)

    def _of_owner(
        self, turn: Turn[Any], owner: str, besides: set[str], load: VideoLoad | None
    ) -> JobRecord | None:
        """Return the row of an owner to take next, or None."""
        most = self._context.settings.max_batch
        if load is None or most == 1:
            return turn.oldest(owner, besides)
        waiting = turn.first_of(owner, besides, AHEAD)
        return suited(waiting, load, most=most) if waiting else None

    def _start(self, record: JobRecord, *, alone_s: float = 0.0) -> None:
        """Start the workflow of a job that was taken. If it cannot be, a sweep queues the job."""
        self._in_flight.add(record, alone_s=alone_s)
        try:
            self._workflows.start(record)
        except BaseException:
            self._in_flight.remove(record.job_id, record.attempt)
            self._in_flight.hold_back(record.job_id)
            raise

    def _ended(self, job_id: str, attempt: int, error: BaseException | None) -> None:
        if error is not None and not self._context.stopping.is_set():
            log.warning("the workflow of job %s ended: %s", job_id, brief(error))
            self._in_flight.hold_back(job_id)
        self._in_flight.remove(job_id, attempt)
        self._wake.set()
