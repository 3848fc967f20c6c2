"""What ends by itself, so that nothing grows for ever: videos that wait past their deadline, that
have expired or that the disk has no room for, encoders that were not made, and the ledger of
workflows that have ended.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING

from dbos import DBOS

from server.jobs.video import remove
from server.storage.records import COMPLETED, FAILED, QUEUED, EncoderRecord, VideoRecord
from video.engine.ticket import DeadlineExceeded

if TYPE_CHECKING:
    from server.runtime import Runtime

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
WORKFLOWS_KEPT = timedelta(hours=1)
"""After its end a workflow is of no use to us: its row in the records is the truth."""


class Housekeeping:
    """Sweeps every so often, from the runtime's start to its stop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._thread = Thread(target=self._run, name="palimpsest-housekeeping", daemon=True)

    def start(self) -> None:
        """Sweep now, and from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the sweep that is under way. The runtime must be stopping."""
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                sweep(self._runtime, now=time.time())
            except Exception:  # a database that is away comes back
                log.exception("housekeeping failed; it is tried again")
            if self._runtime.stopping.wait(EVERY_SECONDS):
                return


def sweep(runtime: Runtime, now: float) -> None:
    """End and remove what is due at `now`, in Unix seconds."""
    records, settings = runtime.records, runtime.settings
    # One that has reached the engine is ended there, to the step.
    for video in records.all(
        VideoRecord, VideoRecord.status == QUEUED, VideoRecord.deadline <= int(now)
    ):
        runtime.jobs.fail(video, DeadlineExceeded("It was not begun in the time it was given."))
        runtime.jobs.cancel(video)
    for video in records.all(VideoRecord, VideoRecord.expires_at <= int(now)):
        remove(runtime, video)
    over = records.total(VideoRecord.bytes) - settings.max_stored_bytes
    if over > 0:
        for video in records.all(VideoRecord, VideoRecord.status == COMPLETED):  # oldest first
            remove(runtime, video)
            over -= video.bytes or 0
            if over <= 0:
                break
    before = int(now) - settings.video_lifetime_seconds
    for encoder in records.all(
        EncoderRecord, EncoderRecord.status == FAILED, EncoderRecord.completed_at <= before
    ):
        records.remove(encoder)
    _forget_workflows(datetime.fromtimestamp(now, UTC) - WORKFLOWS_KEPT)


def _forget_workflows(before: datetime) -> None:
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
