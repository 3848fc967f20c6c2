"""The queue of jobs: their pending rows, and nothing else.

A row that is `queued` waits for its turn, or for the engine; one that is `in_progress` is worked
on. Owners take turns, so the queue is asked by owner.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import func, select, update
from sqlalchemy.orm import aliased

from server.storage.database import Database
from server.storage.records import IN_PROGRESS, QUEUED, EncoderRecord, VideoRecord

AnyRecord = TypeVar("AnyRecord", bound=VideoRecord | EncoderRecord)


class WaitingOwner(NamedTuple):
    """An owner with queued rows, and the sequence number of the oldest of them."""

    owner: str
    oldest: int


class JobQueue:
    """Queries of the pending rows. The number of rows that an owner has does not slow them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owners(self, table: type[AnyRecord]) -> Sequence[WaitingOwner]:
        """Return every owner that has queued rows."""
        # SQL has no skip scan: each owner is found from the one before it, by one look into the
        # index on status, owner and sequence.
        queued = table.status == QUEUED
        first = select(func.min(table.owner).label("owner")).where(queued)
        found = first.cte("found", recursive=True)
        later = aliased(table)
        following = (
            select(func.min(later.owner))
            .where(later.status == QUEUED, later.owner > found.c.owner)
            .correlate(found)
            .scalar_subquery()
        )
        found = found.union_all(select(following).where(found.c.owner.is_not(None)))
        oldest = (
            select(func.min(table.sequence))
            .where(queued, table.owner == found.c.owner)
            .correlate(found)
            .scalar_subquery()
        )
        rows = select(found.c.owner, oldest).where(found.c.owner.is_not(None))
        with self._database.reading() as session:
            return [WaitingOwner(owner, number or 0) for owner, number in session.execute(rows)]

    def oldest(
        self, table: type[AnyRecord], owner: str, besides: Collection[str]
    ) -> AnyRecord | None:
        """Return the oldest queued row of an owner whose job's id is not in `besides`, or None."""
        job_id = EncoderRecord.job_id if table is EncoderRecord else table.id
        rows = (
            select(table)
            .where(table.status == QUEUED, table.owner == owner, job_id.not_in(besides))
            .order_by(table.sequence)
            .limit(1)
        )
        with self._database.reading() as session:
            return session.scalars(rows).first()

    def interrupted(self, times: int, besides: Collection[str]) -> VideoRecord | None:
        """Return the oldest queued video that was interrupted so often, or more, or None.

        Its id is not in `besides`. All queued rows are read.
        """
        table = VideoRecord
        rows = (
            select(table)
            .where(table.status == QUEUED, table.interruptions >= times, table.id.not_in(besides))
            .order_by(table.sequence)
            .limit(1)
        )
        with self._database.reading() as session:
            return session.scalars(rows).first()

    def put_back(self) -> None:
        """Queue every row that is worked on, as a new attempt. The earlier attempt ends."""
        with self._database.writing() as session:
            for table in (VideoRecord, EncoderRecord):
                session.execute(
                    update(table)
                    .where(table.status == IN_PROGRESS)
                    .values(status=QUEUED, attempt=table.attempt + 1)
                )
