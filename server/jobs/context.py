"""Context of the jobs: everything that a phase or the housekeeping works with."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from encoders import EncoderNotFound
from server.jobs.phase_times import PhaseTimes
from server.jobs.tracking import JobTracker
from server.jobs.workspace import Workspace
from server.loaded import Loaded
from server.settings import Settings
from server.storage.alias_table import AliasTable
from server.storage.record_store import RecordStore
from server.storage.records import EncoderRecord
from server.storage.video_files import VideoFiles


class ServerStopping(Exception):
    """The server is stopping; the job continues at the next start."""


def _encode_pool() -> ThreadPoolExecutor:
    # Encoding a clip takes a core and memory for its frames, so no more run at a time than there
    # are cores, however many videos are done at once.
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="encode")


@dataclass(frozen=True)
class JobContext:
    """Parts of one server that its jobs use."""

    settings: Settings
    records: RecordStore
    aliases: AliasTable
    files: VideoFiles
    tracker: JobTracker
    stopping: Event
    """Set when the server stops."""
    loaded: Callable[[], Loaded | None]
    """Returns the models, or None if they are not ready."""
    wait_loaded: Callable[[], Loaded]
    """Waits for the models. Raises ServerStopping if the server stops first."""
    phase_times: PhaseTimes = field(default_factory=PhaseTimes)
    """Times of encoders' phases, for their progress."""
    encode_pool: ThreadPoolExecutor = field(default_factory=_encode_pool)
    """Threads that encode finished clips."""

    @property
    def work_dir(self) -> Path:
        """The folder of all workspaces."""
        return self.settings.data_dir / "making"

    def workspace(self, record: EncoderRecord) -> Workspace:
        """Return the workspace of an encoder job."""
        return Workspace(self.work_dir, record.job_id)

    def discard(self, record: EncoderRecord) -> None:
        """Remove what an encoder job left: its workspace and its staged encoder."""
        self.workspace(record).discard()
        self.delete_staged(record)

    def delete_staged(self, record: EncoderRecord) -> None:
        """Remove the job's staged encoder, if there is one.

        Without models there is no store; the next encoder of this id then replaces a stale one.
        """
        loaded = self.loaded()
        if loaded is not None:
            with suppress(EncoderNotFound):
                loaded.staging.delete(record.id)
