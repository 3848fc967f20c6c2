"""Erasing of a tenant: everything that the server stores about it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete

from server.jobs.context import JobContext
from server.jobs.encoder import remove_encoder_job
from server.jobs.video import remove_video
from server.storage.database import Database
from server.storage.key_rows import RateRow, UsageRow
from server.storage.notices import Notices, Topic
from server.storage.records import EncoderRecord, VideoRecord


@dataclass(frozen=True)
class ErasedCounts:
    """Numbers of what was removed."""

    videos: int
    encoder_jobs: int
    deleted_videos: int
    """Records of videos that were deleted earlier."""
    ledger_entries: int
    """Entries of the ledger that do not name the tenant any more."""


def erase(context: JobContext, database: Database, owner: str) -> ErasedCounts:
    """Remove a tenant's videos with their files, its pictures, its records, its usage.

    Jobs that are under way are cancelled. Published encoders stay: they are the operator's. The
    ledger's entries stay, without the tenant and its videos' ids. The database is rewritten, so
    that the bytes of what was removed are not in it any more. The key has to be revoked before, or
    the tenant can go on.
    """
    videos = context.records.all(VideoRecord, VideoRecord.owner == owner)
    for video in videos:
        remove_video(context, video, without_record=True)
    encoders = context.records.all(EncoderRecord, EncoderRecord.owner == owner)
    for encoder in encoders:
        remove_encoder_job(context, encoder)
    context.served_clips.clear()  # some may be of these videos
    deleted = context.deleted_videos.erase(owner)
    # After the videos: none of them can be entered any more.
    entries = context.records.ledger.erase(owner)
    with database.writing() as session:
        session.execute(delete(UsageRow).where(UsageRow.owner == owner))
        session.execute(delete(RateRow).where(RateRow.owner == owner))
        Notices.add(session, Topic.TENANT, owner)  # the other servers forget theirs
    database.scrub()
    return ErasedCounts(len(videos), len(encoders), deleted, entries)
