"""What the phases of making an encoder share: the job's work folder, its progress, its end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from encoders import EncoderNotFound
from server.errors import NotReady
from server.storage.records import IN_PROGRESS, PENDING, EncoderRecord

if TYPE_CHECKING:
    from server.jobs.workflows import Jobs
    from server.runtime import Runtime

PHASES = ("images", "optimising", "judging")
"""In their order."""

Report = Callable[[float | None], bool]


def reporter(jobs: Jobs, record: EncoderRecord, phase: str) -> Report:
    """Writes a phase's progress into the record; False when the record is gone."""
    before = dict.fromkeys(PHASES[: PHASES.index(phase)], 100)

    def report(share: float | None) -> bool:
        if share is None and not before:
            return jobs.runtime.records.pending(record)  # nothing has begun: it is still queued
        phases = {**dict.fromkeys(PHASES, 0), **before, phase: int(100 * (share or 0.0))}
        return jobs.runtime.records.change(
            record,
            status=IN_PROGRESS,
            phase=phase,
            phases=phases,
            progress=min(99, sum(phases.values()) // len(phases)),
        )

    return report


def work_folder(runtime: Runtime, record: EncoderRecord) -> Path:
    """Where the job keeps what is done so far."""
    return runtime.work_dir / record.job_id


def write(path: Path, content: bytes) -> None:
    """A file of the work folder: there as a whole, also after a power cut, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    replace(draft, path)


def replace(draft: Path, path: Path) -> None:
    """Move a finished file into its place, and onto the disk first."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


def delete_draft(runtime: Runtime, record: EncoderRecord) -> None:
    """Remove the encoder that is not judged yet, if there is one."""
    # Before the models are loaded there is no store yet; a stale draft goes when the next is made.
    with suppress(EncoderNotFound, NotReady):
        runtime.loaded.drafts.delete(record.id)


def discard(runtime: Runtime, record: EncoderRecord) -> None:
    """Remove what an encoder's making left, once it has ended or was deleted."""
    shutil.rmtree(work_folder(runtime, record), ignore_errors=True)
    delete_draft(runtime, record)


def sweep(runtime: Runtime) -> None:
    """At start: remove what jobs left that ended or were deleted while nobody could clean up."""
    pending = {
        record.job_id
        for record in runtime.records.all(EncoderRecord, EncoderRecord.status.in_(PENDING))
    }
    runtime.work_dir.mkdir(parents=True, exist_ok=True)
    for work in runtime.work_dir.iterdir():
        if work.name not in pending:
            shutil.rmtree(work, ignore_errors=True)
