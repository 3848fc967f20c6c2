"""The store of records: reads and changes the rows of jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from encoders import PalimpsestError
from marking.ledger import LedgerDraft
from server.errors import Unprocessable
from server.outage import is_outage
from server.storage import job_notices
from server.storage.database import Database
from server.storage.deleted_video_rows import DeletedVideoRow
from server.storage.key_limits import KEYLESS, Limits
from server.storage.key_table import check_not_revoked
from server.storage.key_usage import KeyUsage
from server.storage.ledger_table import LedgerTable, append
from server.storage.notices import Topic
from server.storage.notifier import JobNotifier
from server.storage.records import (
    ANY_REQUEST,
    FAILED,
    PENDING,
    Job,
    JobRecord,
    VideoRecord,
)
from server.storage.taken_ids import check_id

AnyJob = TypeVar("AnyJob", bound=Job)


class RecordStore:
    """The tables of jobs. Every method is one short transaction.

    Args:
        database: The database.
        clock: Returns the time in Unix seconds.
        records_deleted_videos: True to write a row to `deleted_videos` for each deleted video.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        *,
        records_deleted_videos: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._records_deleted_videos = records_deleted_videos
        self.ledger = LedgerTable(database)
        self.notifier = JobNotifier()
        """Notified of every change, by the job's id."""
        database.notices.on(Topic.JOB, self.notifier.notify)

    def repeated(
        self, table: type[AnyJob], owner: str, key: str | None, digest: str
    ) -> AnyJob | None:
        """Return the job that `owner` made with this idempotency key, or None.

        Args:
            table: The kind of job.
            owner: Id of the caller's key.
            key: The idempotency key; None finds nothing.
            digest: Hash of the request.

        Raises:
            Unprocessable: The key came with another request.
        """
        with self._database.reading() as session:
            return _repeated(session, table, owner, key, digest)

    def accept(
        self,
        job: AnyJob,
        *,
        limit: int,
        key_limits: Limits = KEYLESS,
        replaced: AnyJob | None = None,
        stored_key: bool = False,
    ) -> AnyJob:
        """Record a job, or return the job that its idempotency key already stands for.

        One transaction checks the limits, counts what is used, and records the job. A repeat uses
        nothing. A refused request counts as a request, and as nothing else.

        Args:
            job: The new row.
            limit: Jobs of this kind that all keys together may have pending.
            key_limits: Limits of the job's owner.
            replaced: An ended job of the same id, whose row is deleted once the new job is within
                all limits.
            stored_key: True if the owner's key is one of the database.

        Raises:
            Unauthorized: The key was revoked meanwhile.
            RateLimited: The owner makes too many requests.
            QuotaExceeded: Another limit of the owner is reached.
            QueueFull: `limit` jobs of this kind are pending.
            Conflict: The id is taken.
            AliasExists: The id of an encoder job is an alias.
            Unprocessable: The idempotency key came with another request.
        """
        table = type(job)
        refused: PalimpsestError | None = None
        with self._database.writing() as session:
            if stored_key:  # what is accepted after a revocation would escape an erasure
                check_not_revoked(session, job.owner)
            earlier = _repeated(session, table, job.owner, job.idempotency_key, job.request_hash)
            if earlier is not None:
                return earlier
            usage = KeyUsage(session, job.owner, key_limits, self._clock())
            try:
                usage.count_request()
                check_id(session, job, replaced)
                usage.check(table, server_limit=limit)
            except PalimpsestError as error:
                refused = error  # raised below: the request stays counted
            else:
                usage.count_job(table)
                if replaced is not None:
                    session.execute(delete(table).where(table.sequence == replaced.sequence))
                session.add(job)
                job_notices.accepted(session, job)
        if refused is not None:
            raise refused
        return job

    def get(self, table: type[AnyJob], *where: ColumnElement[bool]) -> AnyJob | None:
        """Return the first row for which every condition holds, or None."""
        with self._database.reading() as session:
            return session.scalars(select(table).where(*where)).first()

    def page(
        self, table: type[AnyJob], owner: str, *, after: str | None, limit: int, descending: bool
    ) -> tuple[Sequence[AnyJob], bool] | None:
        """Return up to `limit` rows of `owner` that follow `after`, and True if there are more.

        None if `owner` has no row `after`.
        """
        with self._database.reading() as session:
            rows = select(table).where(table.owner == owner)
            if after is not None:
                start = session.scalar(
                    select(table.sequence).where(table.owner == owner, table.id == after)
                )
                if start is None:
                    return None
                later = table.sequence < start if descending else table.sequence > start
                rows = rows.where(later)
            order = table.sequence.desc() if descending else table.sequence.asc()
            found = session.scalars(rows.order_by(order).limit(limit + 1)).all()
            return found[:limit], len(found) > limit

    def all(self, table: type[AnyJob], *where: ColumnElement[bool]) -> Sequence[AnyJob]:
        """Return every row for which the conditions hold, in order of acceptance."""
        with self._database.reading() as session:
            return session.scalars(select(table).where(*where).order_by(table.sequence)).all()

    def last_failed(self, table: type[AnyJob], limit: int) -> Sequence[AnyJob]:
        """Return the jobs of all owners that failed last, newest first."""
        rows = select(table).where(table.status == FAILED)
        with self._database.reading() as session:
            return session.scalars(rows.order_by(table.completed_at.desc()).limit(limit)).all()

    def total(self, column: InstrumentedAttribute[int | None]) -> int:
        """Return the sum of a column; 0 if there are no rows."""
        with self._database.reading() as session:
            return int(session.scalar(select(func.sum(column))) or 0)

    def change(
        self,
        job: JobRecord,
        *,
        device_seconds: float = 0.0,
        ledger: LedgerDraft | None = None,
        durable: bool = True,
        **values: Any,
    ) -> bool:
        """Write `values` to a pending job.

        Return False if it has ended or was deleted, or if a later attempt works on it. Every end of
        a job is written here, so a job ends once.

        Args:
            job: The job.
            device_seconds: Time of the device to count for its owner, whatever is returned.
            ledger: The clip of a completed video, to be entered with its `completed_at`.
            durable: False if the change may be lost in a crash.
            values: The columns' new values.
        """
        # Progress is most of what is written. Numbers in the ledger are given to one at a time.
        with self._database.writing(alone=ledger is not None, durable=durable) as session:
            done = session.execute(update(type(job)).where(*_still(job)).values(**values))
            changed = bool(done.rowcount)  # pyright: ignore[reportAttributeAccessIssue]
            if device_seconds:
                usage = KeyUsage(session, job.owner, KEYLESS, self._clock())
                usage.count_device_seconds(device_seconds, of_deleted=not changed)
            if changed and ledger is not None:
                append(session, ledger, values["completed_at"])
            if changed:
                job_notices.changed(session, job, values)
        return changed

    def note(self, job: JobRecord, **values: Any) -> bool:
        """Write a job's progress as `change` does, but not during an outage of storage.

        Progress is not worth waiting for, nor is the disk: the next one replaces it. Commits that
        send a notice follow one another in PostgreSQL, with the time of the disk in each.
        """
        try:
            return self.change(job, durable=False, **values)
        except Exception as error:
            if not is_outage(error):
                raise
            return True

    def count_device_seconds(self, owner: str, seconds: float) -> None:
        """Count time of the device for a job that has no row any more."""
        with self._database.writing(alone=False) as session:
            usage = KeyUsage(session, owner, KEYLESS, self._clock())
            usage.count_device_seconds(seconds, of_deleted=True)

    def pending_by_owner(self, table: type[Job]) -> Sequence[tuple[str, str, int]]:
        """Return owner, status and number of the pending jobs."""
        rows = select(table.owner, table.status, func.count()).where(table.status.in_(PENDING))
        rows = rows.group_by(table.owner, table.status)
        with self._database.reading() as session:
            return [(owner, status, count) for owner, status, count in session.execute(rows)]

    def is_pending(self, job: Job) -> bool:
        """Return True if the job has neither ended nor been deleted, nor begun a later attempt.

        True, too, if an outage of storage does not let it be known.
        """
        try:
            return self.get(type(job), *_still(job)) is not None
        except Exception as error:
            if not is_outage(error):
                raise
            return True

    def forget_prompts(self, before: int) -> int:
        """Take the prompts out of the rows of videos that ended before a time.

        Returns:
            The number of videos.
        """
        ended = (VideoRecord.completed_at <= before, VideoRecord.prompt != "")
        with self._database.writing(alone=False) as session:
            done = session.execute(
                update(VideoRecord).where(*ended).values(prompt="", negative_prompt="")
            )
            return int(done.rowcount)  # pyright: ignore[reportAttributeAccessIssue]

    def remove(self, job: JobRecord, *, without_record: bool = False) -> None:
        """Delete the row. Its idempotency key can be used again.

        Args:
            job: The job.
            without_record: True to write nothing about a deleted video, whatever the settings say.
        """
        with self._database.writing() as session:
            if isinstance(job, VideoRecord) and self._records_deleted_videos and not without_record:
                # The caller's copy may be of an earlier state, or the row deleted already.
                video = session.get(VideoRecord, job.sequence, with_for_update=True)
                if video is not None:
                    session.add(DeletedVideoRow.of(video, int(self._clock())))
            session.execute(delete(type(job)).where(type(job).sequence == job.sequence))
            job_notices.removed(session, job)


def _still(job: Job) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which the caller's attempt is the one that counts."""
    table = type(job)
    return (
        table.sequence == job.sequence,
        table.id == job.id,
        table.status.in_(PENDING),
        table.attempt == job.attempt,
    )


def _repeated(
    session: Session, table: type[AnyJob], owner: str, key: str | None, digest: str
) -> AnyJob | None:
    if key is None:
        return None
    earlier = session.scalars(
        select(table).where(table.owner == owner, table.idempotency_key == key)
    ).first()
    if earlier is not None and earlier.request_hash not in (digest, ANY_REQUEST):
        raise Unprocessable(f"Idempotency-Key {key!r} was used for another request. Use a new one.")
    return earlier
