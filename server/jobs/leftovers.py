"""Leftovers of killed servers, and records that disagree with what is stored.

Every leftover is told from work that is going on: by a record that is pending, by a lock on the
store, or for temporary files by their age. So a sweep may run at any time. What has another name
than the server gives (`server.storage.owned_names`) is not its own, and stays.
"""

from __future__ import annotations

import logging

from encoders.atomic_files import is_older, remove_tree
from server.jobs.context import JobContext
from server.storage.owned_names import WORKSPACES, leftover_drafts
from server.storage.records import FAILED, PENDING, PUBLISHED, EncoderRecord, VideoRecord

log = logging.getLogger(__name__)

INTERVAL_S = 600.0
"""Time between two sweeps: one reads the names of all files and all cards."""


class Leftovers:
    """Sweep of everything that nobody will finish or use: now and then, and first of all at start.

    Args:
        context: The server's.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._next = self._next_own = self._next_stores = 0.0

    def sweep_own(self, now: float) -> None:
        """Sweep the temporary files of the data directory, if that is due."""
        if now < self._next_own:
            return
        self._next_own = now + INTERVAL_S
        before = self._context.store.left_before(now)
        drafts = leftover_drafts(self._context.settings.data_dir)
        gone = [path for path in drafts if is_older(path, before)]
        for path in gone:
            remove_tree(path)
        _noted("temporary files", [path.name for path in gone])

    def sweep(self, now: float) -> None:
        """Sweep what is due of what all replicas share."""
        if now >= self._next:
            self._next = now + INTERVAL_S
            self._sweep_files(now)
        context = self._context
        if now >= self._next_stores:
            self._next_stores = now + INTERVAL_S
            _noted("encoders", context.encoders.sweep())
            _noted("staged encoders", context.staging.sweep_ended(self._encoders_in_making))
        free_ids_of_lost_encoders(context)

    def _sweep_files(self, now: float) -> None:
        context, records = self._context, self._context.records
        before = context.store.left_before(now)

        def recorded() -> dict[str, int | None]:
            videos = records.all(VideoRecord)
            return {one.id: None if one.status in PENDING else one.attempt for one in videos}

        _noted("videos", context.files.sweep(recorded, before))
        _noted("workspaces", sweep_workspaces(context, now=now, before=before))

    def _encoders_in_making(self) -> set[str]:
        records = self._context.records
        pending = records.all(EncoderRecord, EncoderRecord.status.in_(PENDING))
        return {name for record in pending for name in (record.id, record.job_id)}


def sweep_workspaces(context: JobContext, *, now: float, before: float) -> list[str]:
    """Remove the workspaces of jobs that ended or were deleted, and return their names.

    A job that ends or is deleted while the server is down cannot discard its own. Pictures that a
    client sent stay for `picture_retention_seconds` after the job's end, and what speaks against an
    encoder that failed for as long as its row.

    Args:
        context: The server's.
        now: Unix seconds.
        before: Unix seconds. One without a job that was written to later is kept: pictures are
            saved before their job is recorded.
    """
    # Listed first: the job of one that is made from now on may not be recorded yet.
    names = context.workspace_ids()
    found = context.records.all(EncoderRecord, EncoderRecord.job_id.in_(names))
    jobs = {record.job_id: record for record in found}

    def is_removed(name: str) -> bool:
        job, workspace = jobs.get(name), context.workspace_of(name)
        if job is None:
            written = workspace.newest()
            if written is not None and written >= before:
                return False
        elif job.status in PENDING:
            return False
        else:
            kept, has_failed = context.has_kept_pictures(job, now), job.status == FAILED
            workspace.discard_all_but(pictures=kept, failure=has_failed)
            return not (kept or workspace.newest() is not None)
        workspace.discard()
        return True

    removed = context.store.blobs(WORKSPACES).each(is_removed, names)
    return [name for name, is_gone in zip(names, removed, strict=True) if is_gone]


def free_ids_of_lost_encoders(context: JobContext) -> None:
    """Remove the records of published encoders that are not in the store any more.

    The card is created before the record says `published`, so the encoder was removed since, by
    other means than this server. Without this its id could neither be used nor deleted.

    Raises:
        OSError: The whole store is away, which says nothing about one encoder.
    """
    published = context.records.all(EncoderRecord, EncoderRecord.status == PUBLISHED)
    stored = set(context.encoders.ids()) if published else set[str]()
    for record in published:
        if record.id not in stored:
            log.warning("encoder %s is not in the store any more: its record goes", record.id)
            context.records.remove(record)
            context.workspace(record).discard()


def _noted(what: str, removed: list[str]) -> None:
    if removed:
        log.info("removed leftovers: %s", what, extra={"removed": removed[:20]})
