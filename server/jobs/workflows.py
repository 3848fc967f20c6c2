"""Workflows: DBOS runs the attempts at jobs, and keeps which of their steps are done.

A workflow is one attempt at one job, and an attempt is started once. After a kill the row gets a
new attempt (`server.jobs.recovery`), so nothing in DBOS's database is needed later: workflows of
replicas that are gone are deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from dbos import DBOS, DBOSConfig, SetWorkflowID

from server import tracing
from server.jobs.context import JobContext
from server.jobs.device_wait import with_device_memory
from server.jobs.encoder import make_images, optimise
from server.jobs.judgement import judge
from server.jobs.naming import name_pictures
from server.jobs.phases import Phase
from server.jobs.storage_wait import ServerStopping
from server.jobs.tracking import JobDeleted, workflow_id
from server.jobs.video import render
from server.jobs.ways import look_for_ways
from server.logs import REQUEST_ID
from server.storage.job_version import JOB_VERSION
from server.storage.records import PENDING, EncoderRecord, JobRecord, VideoRecord

AnyRecord = TypeVar("AnyRecord", VideoRecord, EncoderRecord)

_PAGE = 500
_RUN_PHASE: Mapping[Phase, Callable[[JobContext, EncoderRecord], None]] = {
    Phase.NAMING: name_pictures,
    Phase.WAYS: look_for_ways,
    Phase.IMAGES: make_images,
    Phase.OPTIMISING: optimise,
    Phase.JUDGING: judge,
}
"""The work of each phase. One that is done already returns at once."""

_running: Workflows | None = None
"""The workflows of this process. DBOS runs plain functions, which find their server here."""


class Workflows:
    """DBOS, as far as jobs need it.

    Args:
        context: Parts of the server that the jobs use.
        on_end: Is called with a job's id, the attempt, and the error of DBOS or None, when an
            attempt has ended. It may be called twice for an attempt.
    """

    def __init__(
        self, context: JobContext, on_end: Callable[[str, int, BaseException | None], None]
    ) -> None:
        self.context = context
        self._on_end = on_end
        self._is_open = False

    def open(self) -> None:
        """Start DBOS, unless it runs.

        Raises:
            Exception: DBOS's database cannot be reached just now.
        """
        global _running
        _running = self
        if self._is_open:
            return
        self._launch()
        self._is_open = True

    def close(self) -> None:
        """Stop DBOS. Work that is running is not waited for."""
        global _running
        if _running is self:
            _running = None
        self._is_open = False
        DBOS.destroy()

    def start(self, record: JobRecord) -> None:
        """Start the workflow of the job's present attempt.

        Raises:
            Exception: DBOS could not record it, so it does not run.
        """
        job_id, attempt = record.job_id, record.attempt
        make = make_video if isinstance(record, VideoRecord) else make_encoder
        self.context.tracker.spans.begin(record)
        try:
            with SetWorkflowID(workflow_id(record)):
                handle = DBOS.start_workflow(make, job_id, attempt)
            # DBOS can fail before or after the work, in the records that it keeps of it.
            future = getattr(handle, "future", None)
            if future is None:
                raise RuntimeError(f"workflow {workflow_id(record)} was started before")
        except BaseException:
            self.context.tracker.spans.end(job_id, attempt)
            raise
        future.add_done_callback(lambda done: self.ended(job_id, attempt, done.exception()))

    def ended(self, job_id: str, attempt: int, error: BaseException | None = None) -> None:
        """Tell that the work of an attempt is over; the error is DBOS's, or None."""
        self.context.tracker.spans.end(job_id, attempt)
        self._on_end(job_id, attempt, error)

    @staticmethod
    def delete_ended(before: float) -> None:
        """Delete DBOS's rows of workflows that ended before this Unix time, if DBOS runs."""
        if _running is None or not _running._is_open:
            return
        ended = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
        _delete(ended, datetime.fromtimestamp(before, UTC))

    @staticmethod
    def delete_lost(replicas: Collection[str]) -> None:
        """Delete DBOS's rows of workflows of others than these replicas, if DBOS runs."""
        if _running is not None and _running._is_open:
            _delete_lost(replicas)

    def _launch(self) -> None:
        config: DBOSConfig = {
            **self.context.jobs_database.prepared(),
            "name": "palimpsest",
            "application_version": str(JOB_VERSION),
            # DBOS takes up again what an executor of the same name left. Here rows are taken up,
            # so every process has a name of its own.
            "executor_id": self.context.lease.id,
            "log_level": "WARNING",
        }
        try:
            DBOS(config=config)
            DBOS.launch()
            _delete_lost(self.context.replicas.ids())
        except BaseException:
            DBOS.destroy()
            raise


def _delete(statuses: list[str], before: datetime | None) -> None:
    while True:
        found = DBOS.list_workflows(
            status=statuses,
            completed_before=None if before is None else before.isoformat(),
            limit=_PAGE,
            load_input=False,
            load_output=False,
        )
        if not found:
            return
        DBOS.delete_workflows([workflow.workflow_id for workflow in found])


def _delete_lost(replicas: Collection[str]) -> None:
    kept = 0
    while True:
        found = DBOS.list_workflows(
            status=["PENDING", "ENQUEUED", "DELAYED"],
            limit=_PAGE,
            offset=kept,
            load_input=False,
            load_output=False,
        )
        lost = [one.workflow_id for one in found if one.executor_id not in replicas]
        if lost:
            DBOS.delete_workflows(lost)
        kept += len(found) - len(lost)
        if len(found) < _PAGE:
            return


@DBOS.workflow(name="make_video", max_recovery_attempts=None)
def make_video(job_id: str, attempt: int) -> None:
    """Make a video, in one step."""
    workflows = _workflows()
    try:
        DBOS.run_step({"name": "render"}, _make_video, job_id, attempt)
    finally:
        workflows.ended(job_id, attempt)


@DBOS.workflow(name="make_encoder", max_recovery_attempts=None)
def make_encoder(job_id: str, attempt: int) -> None:
    """Make an encoder, one step a phase. A phase that is done is not done again."""
    workflows = _workflows()
    try:
        for phase in Phase:
            if not DBOS.run_step({"name": phase.value}, _run_phase, job_id, attempt, phase):
                return
    finally:
        workflows.ended(job_id, attempt)


def _make_video(job_id: str, attempt: int) -> None:
    context = _workflows().context
    table = VideoRecord
    ours = (table.id == job_id, table.attempt == attempt, table.status.in_(PENDING))
    _guarded(context, lambda: context.records.get(table, *ours), render)


def _run_phase(job_id: str, attempt: int, phase: Phase) -> bool:
    """Run one phase. Return False if the job ends here."""
    context = _workflows().context
    table = EncoderRecord
    ours = (table.job_id == job_id, table.attempt == attempt, table.status.in_(PENDING))

    def work(context: JobContext, record: EncoderRecord) -> None:
        with tracing.span(phase.value):
            _RUN_PHASE[phase](context, record)

    return _guarded(context, lambda: context.records.get(table, *ours), work)


def _guarded(
    context: JobContext,
    read: Callable[[], AnyRecord | None],
    work: Callable[[JobContext, AnyRecord], None],
) -> bool:
    """Do the work, and return True. If it fails, end the job and return False.

    An outage of storage is waited out, and so is a device without memory, for a minute. If the
    server is stopping, the row stays pending, and the next start takes up the job.
    """
    try:
        record = context.storage.run("the start of a job", read)
    except ServerStopping:
        return False
    if record is None:
        return False
    REQUEST_ID.set(record.request_id)
    with context.tracker.spans.within(record):
        return _done(context, record, work)


def _done(
    context: JobContext, record: AnyRecord, work: Callable[[JobContext, AnyRecord], None]
) -> bool:
    try:
        try:
            name = f"job {record.job_id}"
            context.storage.run(
                name,
                lambda: with_device_memory(context.stopping, name, lambda: work(context, record)),
            )
        except ServerStopping:
            return False
        except JobDeleted:
            context.tracker.settle(record)
            return False
        except Exception as error:
            if context.stopping.is_set():
                return False
            if getattr(error, "code", None) == "cancelled":
                context.tracker.settle(record)
            else:
                context.fail(record, error)
            return False
    except ServerStopping:
        return False
    return True


def _workflows() -> Workflows:
    if _running is None:
        raise RuntimeError("no server is running in this process")
    return _running
