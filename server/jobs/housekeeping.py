"""Housekeeping: removes what is due, so that no data grows without bound.

One replica does it for all, the one that leads (`server.jobs.lease`). Due are videos past their
deadline or expiry, videos that the store has no room for, records of deleted videos, entries of the
ledger, failed encoder jobs, DBOS's rows of ended workflows, rows of replicas that are long dead,
and what killed servers left (`server.jobs.leftovers`).
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from threading import Thread
from typing import ParamSpec

from server.jobs.context import JobContext
from server.jobs.leftovers import Leftovers
from server.jobs.storage_wait import ServerStopping
from server.jobs.video import remove_video
from server.jobs.workflows import Workflows
from server.outage import brief, is_outage
from server.storage.records import COMPLETED, FAILED, QUEUED, EncoderRecord, VideoRecord
from server.storage.storage_errors import DatabaseUnusable
from video.engine.ticket import DeadlineExceeded

log = logging.getLogger(__name__)
P = ParamSpec("P")

SWEEP_INTERVAL_S = 30.0
WORKFLOWS_KEPT_S = 3600.0
"""Time that DBOS's row of an ended workflow is kept. Nothing reads it: the job's record says how
the job ended."""


class Housekeeping:
    """A thread that sweeps every 30 seconds, from the server's start to its stop."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._leftovers = Leftovers(context)
        self._waits = False
        self._thread = Thread(target=self._run, name="palimpsest-housekeeping", daemon=True)

    def start(self) -> None:
        """Sweep now, and regularly from now on."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Wait for the current sweep to end, if it does in time.

        `JobContext.stopping` must be set.
        """
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._context.stopping.is_set():
            now = time.time()
            troubles = [self._try(self._leftovers.sweep_own, now)]
            if self._context.lease.leads:
                troubles += [
                    self._try(sweep, self._context, now),
                    self._try(self._leftovers.sweep, now),
                    self._try(self._sweep_replicas, now),
                ]
            self._waits = any(troubles)
            self._context.stopping.wait(SWEEP_INTERVAL_S)

    def _sweep_replicas(self, now: float) -> None:
        replicas = self._context.replicas
        replicas.sweep()
        Workflows.delete_lost(replicas.ids())
        Workflows.delete_ended(now - WORKFLOWS_KEPT_S)

    def _try(self, part: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Do a part of the sweep. Return True if it has to wait for the storage."""
        try:
            part(*args, **kwargs)
        except ServerStopping:
            return False
        except Exception as error:
            if is_outage(error):
                # One line an outage; that of a damaged database is logged already.
                if not self._waits and not isinstance(error, DatabaseUnusable):
                    log.warning("housekeeping waits for storage: %s", brief(error))
                return True
            log.exception("housekeeping failed; the next sweep tries again")
        return False


def sweep(context: JobContext, now: float) -> None:
    """End and remove everything that is due at `now`, in Unix seconds."""
    records, settings = context.records, context.settings
    # The engine itself ends a video that it has begun.
    for video in records.all(
        VideoRecord, VideoRecord.status == QUEUED, VideoRecord.deadline <= int(now)
    ):
        error = DeadlineExceeded("The video's deadline passed before it was begun.")
        context.tracker.fail(video, error)
        context.tracker.cancel(video)
    for video in records.all(VideoRecord, VideoRecord.expires_at <= int(now)):
        remove_video(context, video)
    if settings.prompt_retention_seconds is not None:
        records.forget_prompts(int(now) - settings.prompt_retention_seconds)
    _make_room(context)
    context.deleted_videos.sweep(int(now) - settings.deleted_record_retention_seconds)
    if settings.ledger_retention_seconds:
        records.ledger.sweep(int(now) - settings.ledger_retention_seconds)
    context.usage.sweep(now)
    before = int(now) - settings.video_lifetime_seconds
    for encoder in records.all(
        EncoderRecord, EncoderRecord.status == FAILED, EncoderRecord.completed_at <= before
    ):
        # Its row is how deleting it and erasing its owner find its pictures.
        if not context.has_kept_pictures(encoder, now):
            records.remove(encoder)
            context.workspace(encoder).discard()


def _make_room(context: JobContext) -> None:
    """Remove finished videos while they take more than they may.

    Each is the oldest one of the key that stores most at that moment, so that a key which stores a
    lot does not push out the videos of the others.
    """
    most = context.settings.max_stored_bytes
    if context.records.total(VideoRecord.bytes) <= most:
        return
    videos: defaultdict[str, deque[VideoRecord]] = defaultdict(deque)
    stored: Counter[str] = Counter()
    for video in context.records.all(VideoRecord, VideoRecord.status == COMPLETED):  # oldest first
        videos[video.owner].append(video)
        stored[video.owner] += video.bytes or 0
    over = stored.total() - most  # of the same look: a video that is gone by now makes room, too
    # Another would begin to sweep if this one was stopped in between.
    while over > 0 and videos and context.lease.leads:
        owner = max(videos, key=lambda name: stored[name])
        video = videos[owner].popleft()
        if not videos[owner]:
            del videos[owner]
        remove_video(context, video)
        stored[owner] -= video.bytes or 0
        over -= video.bytes or 0
