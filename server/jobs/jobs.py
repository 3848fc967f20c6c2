"""Durable jobs of one server.

A job is a row of `server.storage.records`. Its commit is all that accepts it; the dispatcher starts
it, and takes it up again after a kill. Steps are idempotent, and a job's row ends once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

from server.jobs.abandoned import AbandonedVideos
from server.jobs.auditor import Auditor
from server.jobs.context import JobContext
from server.jobs.deleted_encoders import DeletedEncoders
from server.jobs.dispatcher import Dispatcher
from server.jobs.encoder import remove_encoder_job
from server.jobs.housekeeping import Housekeeping
from server.jobs.leftovers import sweep_workspaces
from server.jobs.video import remove_video
from server.jobs.workspace import Workspace
from server.outage import brief, is_outage
from server.queue_metrics import QueueCollector
from server.storage.database import Database
from server.storage.held_jobs import HeldJobs
from server.storage.job_queue import JobQueue
from server.storage.notices import Notices, Topic
from server.storage.records import EncoderRecord, JobRecord, VideoRecord

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 3.0
"""Time that running jobs get to end when the server stops. The next start takes up the others."""


class Jobs:
    """The jobs of one server: started, stopped and removed.

    Args:
        context: Parts of the server that the jobs use.
        database: Where their rows are.
    """

    def __init__(self, context: JobContext, database: Database) -> None:
        self.context = context
        self._database = database
        replica = context.lease.id
        queue, held = JobQueue(database, replica), HeldJobs(database, replica)
        self._dispatcher = Dispatcher(context, queue, held, self.limit_of)
        self._housekeeping = Housekeeping(context)
        self._auditor = Auditor(context)
        self._abandoned = AbandonedVideos(context.storage, self.remove)
        self._deleted_encoders = DeletedEncoders(context.loaded, context.stopping)

    def start(self) -> None:
        """Start work on unfinished jobs, and on what is accepted from now on."""
        try:
            now = time.time()
            sweep_workspaces(self.context, now=now, before=self.context.store.left_before(now))
        except Exception as error:
            if not (is_outage(error) or isinstance(error, OSError)):
                raise
            log.warning("leftovers stay for now: %s", brief(error))
        self._hear()
        self.context.lease.on_drain = self._drain_told
        self.context.lease.start()
        self._dispatcher.start()
        self._deleted_encoders.start()
        self._housekeeping.start()
        self._abandoned.start()
        self._auditor.start()
        self.context.metrics.registry.register(QueueCollector(self._database, self.running))

    @property
    def is_draining(self) -> bool:
        """True once no more jobs are taken."""
        return self._dispatcher.is_draining

    def drain(self) -> None:
        """Take no more jobs, give back those that have not begun, and the rest a while later.

        A video begins anew then, wherever it is taken; an encoder goes on from its last checkpoint.
        Returns at once.
        """
        settings = self.context.settings
        time_s = settings.drain_seconds + settings.stop_seconds - STOP_TIMEOUT_S
        self._dispatcher.drain(max(0.0, time_s))

    def wait_drained(self) -> None:
        """Wait until a drain that has begun is over, if one has."""
        if self._dispatcher.is_draining:
            try:
                self.context.lease.drain()
            except Exception as error:  # only the list of replicas lacks it
                log.warning("the drain is not told: %s", brief(error))
            self._dispatcher.wait_drained()

    def stop(self) -> None:
        """Stop within about 5 seconds. `JobContext.stopping` must be set, and the engine stopped.

        The next start takes up the pending jobs.
        """
        self._dispatcher.stop(STOP_TIMEOUT_S)
        self._housekeeping.stop(1.0)
        self._abandoned.stop(1.0)
        self._auditor.stop(1.0)
        self._deleted_encoders.stop(1.0)
        self.context.lease.end()
        self.context.encode_pool.shutdown(wait=False)

    def wake(self) -> None:
        """Start accepted jobs now, where there is room. Without it they start a little later."""
        self._dispatcher.wake()

    def forget_encoder(self, encoder_id: str) -> None:
        """Tell all servers that a published encoder was deleted, so that none keeps it in memory.

        While the database is away nobody is told: they keep it until it is evicted.
        """
        try:
            with self._database.writing(alone=False) as session:
                Notices.add(session, Topic.ENCODER, encoder_id)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("the deletion of encoder %r is not told: %s", encoder_id, brief(error))

    def _drain_told(self) -> None:
        log.info("told to drain: no more jobs are taken")
        self.drain()

    def _hear(self) -> None:
        """Follow the notices of all servers on the database, this one's among them."""
        context, on = self.context, self._database.notices.on
        on(Topic.QUEUED, lambda _: self.wake())
        on(Topic.ATTEMPT, context.tracker.doubt)
        on(Topic.REPLICA, lambda _: context.lease.renew_soon())
        on(Topic.ENCODER, self._deleted_encoders.add)
        on(Topic.TENANT, lambda _: context.served_clips.clear())

    def limit_of(self, owner: str) -> int:
        """Return the number of an owner's videos that may be in flight, on all replicas."""
        own = self.context.limits_of(owner).in_flight
        if own is None:  # a server without keys: nobody else could come
            own = self.context.settings.videos_in_flight_per_key
        most = self.context.lease.slots
        return most if own is None else min(own, most)

    def expected_seconds(self, record: EncoderRecord) -> int:
        """Return the seconds that an encoder's job is likely to take."""
        return self.context.phase_times.expected_seconds(record)

    def in_flight(self, table: type[VideoRecord] | type[EncoderRecord]) -> Counter[str]:
        """Return the number of jobs of a kind that replicas work on, by owner."""
        return self._dispatcher.in_flight(table)

    def running(self, table: type[VideoRecord] | type[EncoderRecord]) -> int:
        """Return the number of jobs of a kind that this replica works on."""
        return self._dispatcher.running(table)

    def remove(self, record: JobRecord) -> None:
        """Delete a job: its row, its work in the engine, its files.

        A published encoder stays in the store. Files that cannot be removed just now are removed
        by the housekeeping.

        Raises:
            Exception: The row could not be deleted. Then nothing was.
        """
        if isinstance(record, VideoRecord):
            remove_video(self.context, record)
        else:
            remove_encoder_job(self.context, record)
        self._dispatcher.wake()

    def abandon(self, record: VideoRecord) -> None:
        """Delete a video that nobody waits for any more: soon, and after an outage of storage.

        Returns at once. If the server stops first, the next start makes the video.
        """
        self._abandoned.add(record)

    def workspace(self, record: EncoderRecord) -> Workspace:
        """Return the workspace of an encoder job that is not accepted yet.

        Its writes do not wait for storage: the request is refused instead.
        """
        return self.context.new_workspace(record)

    def made_so_far(self, record: EncoderRecord) -> Workspace:
        """Return the workspace of an encoder job's last attempt, to read from."""
        return self.context.made_so_far(record)
