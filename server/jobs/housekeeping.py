"""Housekeeping: removes what is due, so that no data grows without bound.

Due are videos past their deadline or expiry, videos that the disk has no room for, failed encoder
jobs, DBOS's rows of ended workflows, and what killed servers left (`server.jobs.leftovers`).
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from threading import Thread

from dbos import DBOS

from server.jobs.context import JobContext
from server.jobs.leftovers import Leftovers
from server.jobs.video import remove_video
from server.storage.records import COMPLETED, FAILED, QUEUED, EncoderRecord, VideoRecord
from video.engine.ticket import DeadlineExceeded

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 30.0
WORKFLOWS_KEPT = timedelta(hours=1)
"""Time that DBOS's row of an ended workflow is kept. Nothing reads it: the job's record says how
the job ended."""


class Housekeeping:
    """A thread that sweeps every 30 seconds, from the server's start to its stop."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._leftovers = Leftovers(context)
        self._thread = Thread(target=self._run, name="palimpsest-housekeeping", daemon=True)

    def start(self) -> None:
        """Sweep now, and regularly from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the current sweep to end. `JobContext.stopping` must be set."""
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                sweep(self._context, now=time.time())
                self._leftovers.sweep(now=time.time())
            except Exception:  # the disk or the database may be back at the next sweep
                log.exception("housekeeping failed; the next sweep tries again")
            if self._context.stopping.wait(SWEEP_INTERVAL_S):
                return


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
    over = records.total(VideoRecord.bytes) - settings.max_stored_bytes
    if over > 0:
        for video in records.all(VideoRecord, VideoRecord.status == COMPLETED):  # oldest first
            remove_video(context, video)
            over -= video.bytes or 0
            if over <= 0:
                break
    before = int(now) - settings.video_lifetime_seconds
    for encoder in records.all(
        EncoderRecord, EncoderRecord.status == FAILED, EncoderRecord.completed_at <= before
    ):
        records.remove(encoder)
    _delete_workflows(datetime.fromtimestamp(now, UTC) - WORKFLOWS_KEPT)


def _delete_workflows(before: datetime) -> None:
    """Delete DBOS's rows of workflows that ended before this time."""
    ended = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
    while True:
        found = DBOS.list_workflows(
            status=ended,
            completed_before=before.isoformat(),
            limit=500,
            load_input=False,
            load_output=False,
        )
        if not found:
            return
        DBOS.delete_workflows([workflow.workflow_id for workflow in found])
