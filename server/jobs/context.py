"""Context of the jobs: everything that a phase or the housekeeping works with."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Self

from encoders.store import EncoderStore
from server.jobs.lease import Lease
from server.jobs.phase_times import PhaseTimes
from server.jobs.served_clips import ServedClips
from server.jobs.storage_wait import ServerStopping, StorageWait
from server.jobs.tracking import JobDeleted, JobTracker
from server.jobs.workspace import Workspace
from server.loaded import Loaded
from server.metrics import Metrics
from server.outage import brief, is_outage
from server.settings import Settings
from server.storage.alias_table import AliasTable
from server.storage.audit_table import AuditTable
from server.storage.data_directory import DataDirectory
from server.storage.deleted_video_table import DeletedVideoTable
from server.storage.file_store import FileStore
from server.storage.jobs_database import JobsDatabase
from server.storage.key_limits import Limits
from server.storage.owned_names import JOB_ID, WORKSPACES
from server.storage.record_store import RecordStore
from server.storage.records import EncoderRecord, JobRecord
from server.storage.replica_table import ReplicaTable
from server.storage.signing_keys import SigningKeys
from server.storage.staging import StagingStore
from server.storage.usage_table import UsageTable
from server.storage.video_files import VideoFiles
from server.storage.watermark_secret import WatermarkSecret
from video.engine.fair_pool import FairPool

log = logging.getLogger(__name__)

__all__ = ["JobContext", "ServerStopping"]


def _encode_pool() -> FairPool:
    # Encoding a clip takes a core and memory for its frames, so no more run at a time than there
    # are cores, however many videos are done at once.
    return FairPool(os.cpu_count() or 1, "encode")


@dataclass(frozen=True)
class JobContext:
    """Parts of one server that its jobs use."""

    settings: Settings
    records: RecordStore
    aliases: AliasTable
    store: FileStore
    encoders: EncoderStore
    """Published encoders."""
    staging: StagingStore
    """Encoders that are made but not judged yet."""
    files: VideoFiles
    tracker: JobTracker
    storage: StorageWait
    """Repeats the work of jobs while storage is out."""
    lease: Lease
    """This process's."""
    stopping: Event
    """Set when the server stops."""
    loaded: Callable[[], Loaded | None]
    """Returns the models, or None if they are not ready."""
    wait_loaded: Callable[[], Loaded]
    """Waits for the models. Raises ServerStopping if the server stops first."""
    usage: UsageTable
    deleted_videos: DeletedVideoTable
    audits: AuditTable
    metrics: Metrics
    signing_keys: SigningKeys
    watermark_secret: WatermarkSecret
    replicas: ReplicaTable
    jobs_database: JobsDatabase
    """DBOS's."""
    limits_of: Callable[[str], Limits]
    """Returns the limits of a key, by its id."""
    phase_times: PhaseTimes = field(default_factory=PhaseTimes)
    """Times of encoders' phases, for their progress."""
    served_clips: ServedClips = field(default_factory=ServedClips)
    """A few clips that were delivered, for the auditor."""
    encode_pool: FairPool = field(default_factory=_encode_pool)
    """Threads that encode finished clips."""

    @classmethod
    def over(cls, stored: DataDirectory, **others: Any) -> Self:
        """Return the context of a server's tables and files, and the other parts."""
        return cls(
            records=stored.records,
            aliases=stored.aliases,
            store=stored.store,
            encoders=stored.encoders,
            staging=stored.staging,
            files=stored.files,
            usage=stored.usage,
            deleted_videos=stored.deleted_videos,
            audits=stored.audits,
            signing_keys=stored.signing_keys,
            watermark_secret=stored.watermark_secret,
            replicas=stored.replicas,
            jobs_database=stored.jobs,
            **others,
        )

    def workspace(self, record: EncoderRecord) -> Workspace:
        """Return the workspace of an attempt at an encoder job, whose writes wait for storage."""

        def on_saved() -> None:
            if record.interruptions:
                # The job got further than before, so it is not what kills the server.
                self.records.note(record, interruptions=0)
                record.interruptions = 0

        return Workspace(
            self.store.blobs(WORKSPACES),
            record.job_id,
            record.attempt,
            repeat=self.storage.run,
            is_wanted=lambda: self.records.is_pending(record),
            on_saved=on_saved,
        )

    def new_workspace(self, record: EncoderRecord) -> Workspace:
        """Return the workspace of an encoder job that is not accepted yet.

        Its writes do not wait for storage: the request is refused instead.
        """
        return self.workspace_of(record.job_id)

    def workspace_of(self, job_id: str) -> Workspace:
        """Return a workspace whose writes do not wait for storage, by its job's id."""
        return Workspace(self.store.blobs(WORKSPACES), job_id)

    def made_so_far(self, record: EncoderRecord) -> Workspace:
        """Return the workspace of an encoder job's last attempt, to read from."""
        blobs = self.store.blobs(WORKSPACES)
        return Workspace(blobs, record.job_id, record.attempt, is_wanted=lambda: False)

    def workspace_ids(self) -> list[str]:
        """Return the ids of the jobs that have a workspace. Raise OSError if they are away."""
        names = self.store.blobs(WORKSPACES).subfolders("")
        return [name for name in names if JOB_ID.fullmatch(name)]

    def fail(self, record: JobRecord, error: Exception) -> None:
        """End a job with an error, and remove what it left.

        Whoever has deleted the job removes it too, and a later attempt goes on from it.
        """
        ended = self.tracker.fail(record, error)
        if ended and isinstance(record, EncoderRecord):
            self.discard(record, with_failure=False)

    def is_superseded(self, record: EncoderRecord) -> bool:
        """Return True if what there is of the encoder is not this attempt's.

        It is that of a later attempt at the job, or of a later job with the encoder's id.
        """
        now = self.records.get(EncoderRecord, EncoderRecord.id == record.id)
        return now is not None and (now.job_id, now.attempt) != (record.job_id, record.attempt)

    def require_own(self, record: JobRecord) -> None:
        """Raise JobDeleted if the job was deleted, or has ended, or a later attempt works on it.

        A process that was stopped for a while learns so that it is late.
        """
        if not self.records.is_pending(record):
            raise JobDeleted

    def discard(
        self, record: EncoderRecord, *, with_pictures: bool = False, with_failure: bool = True
    ) -> None:
        """Remove what an encoder job left: its workspace and its staged encoder.

        The housekeeping removes what cannot be removed just now.

        Args:
            record: The job.
            with_pictures: True to remove the pictures that a client sent too, as when the job is
                deleted. Those of a job that has ended stay for `picture_retention_seconds`.
            with_failure: True to remove what speaks against the encoder too. It stays for as long
                as the row of a job that failed.
        """
        try:
            workspace = self.new_workspace(record)
            keeps = bool(self.settings.picture_retention_seconds) and not with_pictures
            workspace.discard_all_but(pictures=keeps, failure=not with_failure)
            self.delete_staged(record)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("what %s left stays for now: %s", record.job_id, brief(error))

    def has_kept_pictures(self, record: EncoderRecord, now: float) -> bool:
        """Return True if pictures of a client are kept for a job that has ended, and not yet due.

        Args:
            record: The job, as it is in the database.
            now: Unix seconds.
        """
        until = (record.completed_at or 0) + self.settings.picture_retention_seconds
        return now < until and self.new_workspace(record).has_pictures()

    def delete_staged(self, record: EncoderRecord) -> None:
        """Remove the encoders that attempts at the job have staged."""
        loaded = self.loaded()
        for draft in self.staging.delete_of(record.job_id):
            if loaded is not None:
                loaded.residency.drop_deleted(draft)
