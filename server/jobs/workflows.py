"""Durable jobs: DBOS workflows on SQLite beside the data.

A job is a row of `server.storage.records` and a workflow that works on it. An accepted job survives
a kill: at the next start DBOS takes up the workflows that were running, and `Jobs.start` starts one
for every pending row that has none. Steps are idempotent, and a job's row ends once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dbos import DBOS, DBOSConfig, SetWorkflowID

from encoders import PalimpsestError
from server.jobs.context import JobContext, ServerStopping
from server.jobs.encoder import make_images, optimise, remove_encoder_job
from server.jobs.judgement import judge
from server.jobs.phases import Phase
from server.jobs.tracking import JobDeleted, workflow_id
from server.jobs.video import remove_video, render
from server.jobs.workspace import Workspace
from server.logs import REQUEST_ID
from server.storage.records import IN_PROGRESS, PENDING, EncoderRecord, JobRecord, VideoRecord

VIDEOS, ENCODERS = "videos", "encoders"
# Recovery looks for workflows of this version and executor; they must not change with the code.
_VERSION, _EXECUTOR = "1", "palimpsest"
_MAX_INTERRUPTIONS = 20
"""A job is given up when the server went down this often while it worked on it: the job may be the
cause."""

_RUN_PHASE: Mapping[Phase, Callable[[JobContext, EncoderRecord], None]] = {
    Phase.IMAGES: make_images,
    Phase.OPTIMISING: optimise,
    Phase.JUDGING: judge,
}
"""The work of each phase. One that is done already returns at once."""

_running: Jobs | None = None
"""The jobs of this process. Workflows are plain functions, and find their server here."""


class Jobs:
    """The jobs of one server: starts, fails and removes them."""

    def __init__(self, context: JobContext) -> None:
        self.context = context

    def start(self) -> None:
        """Start work on unfinished jobs, and on what is submitted from now on."""
        global _running
        _running = self
        context = self.context
        encoders = context.records.all(EncoderRecord, EncoderRecord.status.in_(PENDING))
        Workspace.sweep(context.work_dir, {record.job_id for record in encoders})
        for record in self._pending():
            self._count_interruption(record)
        config: DBOSConfig = {
            "name": "palimpsest",
            "system_database_url": f"sqlite:///{context.settings.data_dir / 'jobs.sqlite'}",
            "application_version": _VERSION,
            "executor_id": _EXECUTOR,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()
        in_flight = context.settings.videos_in_flight
        # An encoder takes a minute, so its queue need not be polled ten times a second.
        for name, concurrency, pause in ((VIDEOS, in_flight, 0.1), (ENCODERS, 1, 1.0)):
            DBOS.register_queue(name, worker_concurrency=concurrency, polling_interval_sec=pause)
        for record in self._pending():
            self._take_up(record)

    def stop(self) -> None:
        """Wait 5 seconds for workflows to end; the next start takes up the others."""
        global _running
        _running = None
        DBOS.destroy(workflow_completion_timeout_sec=5)
        self.context.encode_pool.shutdown(cancel_futures=True)

    def submit(self, record: JobRecord) -> None:
        """Start the workflow of an accepted job. A second call does nothing."""
        with SetWorkflowID(workflow_id(record)):
            if isinstance(record, VideoRecord):
                DBOS.enqueue_workflow(VIDEOS, make_video, record.id)
            else:
                DBOS.enqueue_workflow(ENCODERS, make_encoder, record.job_id)

    def remove(self, record: JobRecord) -> None:
        """Delete a job: its row, its work in the engine, its files.

        A published encoder stays in the store.
        """
        if isinstance(record, VideoRecord):
            remove_video(self.context, record)
        else:
            remove_encoder_job(self.context, record)

    def workspace(self, record: EncoderRecord) -> Workspace:
        """Return the workspace of an encoder job."""
        return self.context.workspace(record)

    def fail(self, record: JobRecord, error: Exception) -> None:
        """End a job with an error, and remove what it left."""
        if isinstance(record, EncoderRecord):
            self.context.discard(record)
        self.context.tracker.fail(record, error)

    def _take_up(self, record: JobRecord) -> None:
        """Start a workflow for a pending job, unless one will work on it."""
        status = DBOS.get_workflow_status(workflow_id(record))
        if status is not None and status.status in ("PENDING", "ENQUEUED", "DELAYED"):
            return
        if status is not None:  # the server was stopped: the workflow ended, the job did not
            record.attempt += 1
            self.context.records.change(record, attempt=record.attempt)
        self.submit(record)

    def _pending(self) -> list[JobRecord]:
        records = self.context.records
        return [
            *records.all(VideoRecord, VideoRecord.status.in_(PENDING)),
            *records.all(EncoderRecord, EncoderRecord.status.in_(PENDING)),
        ]

    def _count_interruption(self, record: JobRecord) -> None:
        """Note at start that the server went down while it worked on this job."""
        if record.status != IN_PROGRESS:
            return
        interruptions = record.interruptions + 1
        if interruptions > _MAX_INTERRUPTIONS:
            message = f"The server went down {interruptions} times while it worked on this job."
            self.fail(record, Abandoned(message))
        else:
            self.context.records.change(record, interruptions=interruptions)


class Abandoned(PalimpsestError):
    """The job is not tried again."""

    code = "abandoned"


@DBOS.workflow(name="make_video", max_recovery_attempts=None)
def make_video(video_id: str) -> None:
    """Make a video, in one step."""
    DBOS.run_step({"name": "render"}, _make_video, video_id)


@DBOS.workflow(name="make_encoder", max_recovery_attempts=None)
def make_encoder(job_id: str) -> None:
    """Make an encoder, one step a phase. A phase that is done is not done again."""
    for phase in Phase:
        if not DBOS.run_step({"name": phase.value}, _run_phase, job_id, phase):
            return


def _make_video(video_id: str) -> None:
    jobs = _jobs()
    record = jobs.context.records.get(
        VideoRecord, VideoRecord.id == video_id, VideoRecord.status.in_(PENDING)
    )
    if record is not None:
        _guarded(jobs, record, lambda: render(jobs.context, record))


def _run_phase(job_id: str, phase: Phase) -> bool:
    """Run one phase. Return False if the job ends here."""
    jobs = _jobs()
    record = jobs.context.records.get(
        EncoderRecord, EncoderRecord.job_id == job_id, EncoderRecord.status.in_(PENDING)
    )
    if record is None:
        return False
    return _guarded(jobs, record, lambda: _RUN_PHASE[phase](jobs.context, record))


def _guarded(jobs: Jobs, record: JobRecord, work: Callable[[], None]) -> bool:
    """Do the work, and return True. If it fails, end the job and return False.

    If the server is stopping, the row stays pending, and the next start takes up the job.
    """
    REQUEST_ID.set(record.request_id)
    try:
        work()
    except (JobDeleted, ServerStopping):
        return False
    except Exception as error:
        cancelled = isinstance(error, PalimpsestError) and error.code == "cancelled"
        if not (cancelled or jobs.context.stopping.is_set()):
            jobs.fail(record, error)
        return False
    return True


def _jobs() -> Jobs:
    if _running is None:
        raise RuntimeError("no server is running in this process")
    return _running
