"""The queue of jobs: their pending rows, and nothing else.

A row that is `queued` waits for its turn, or for the engine of the replica that it names; one that
is `in_progress` is worked on. Owners take turns, so the queue is asked by owner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session, aliased

from server.storage.database import Database
from server.storage.job_version import JOB_VERSION
from server.storage.records import PENDING, QUEUED, EncoderRecord, VideoRecord

AnyRecord = TypeVar("AnyRecord", bound=VideoRecord | EncoderRecord)


class WaitingOwner(NamedTuple):
    """An owner with queued rows, and the sequence number of the oldest of them."""

    owner: str
    oldest: int


class JobQueue:
    """The pending rows of both kinds.

    Args:
        database: The database.
        replica: Id of the replica that takes rows.
    """

    def __init__(self, database: Database, replica: str) -> None:
        self._database = database
        self._replica = replica

    def is_empty(self, table: type[AnyRecord]) -> bool:
        """Return True if no row waits for a replica of this version."""
        with self._database.reading() as session:
            return session.scalar(select(table.id).where(*_waits(table)).limit(1)) is None

    def in_flight(self, table: type[AnyRecord]) -> Counter[str]:
        """Return the number of rows that replicas work on, all of them together, by owner."""
        with self._database.reading() as session:
            return Turn(session, table, self._replica).in_flight()

    @contextmanager
    def turn(self, table: type[AnyRecord]) -> Generator[Turn[AnyRecord]]:
        """Yield the rows of one kind while no other replica takes any.

        So what is counted stays true, and limits hold over all replicas. What was taken is this
        replica's once the block has ended without an error.
        """
        with self._database.writing(alone=False) as session:
            self._database.lock(session, f"turn {table.__tablename__}")
            yield Turn(session, table, self._replica)


class Turn(Generic[AnyRecord]):
    """Rows of one kind, inside a transaction. The number that an owner has does not slow it."""

    def __init__(self, session: Session, table: type[AnyRecord], replica: str) -> None:
        self._session = session
        self._table = table
        self._replica = replica

    def in_flight(self) -> Counter[str]:
        """Return the number of rows that replicas work on, all of them together, by owner."""
        table = self._table
        held = (table.status.in_(PENDING), table.replica.is_not(None))
        rows = select(table.owner, func.count()).where(*held).group_by(table.owner)
        return Counter(dict(self._session.execute(rows).tuples().all()))

    def owners(self) -> Sequence[WaitingOwner]:
        """Return every owner that has queued rows."""
        # SQL has no skip scan: each owner is found from the one before it, by one look into the
        # index on status, replica, owner and sequence.
        table = self._table
        first = select(func.min(table.owner).label("owner")).where(*_waits(table))
        found = first.cte("found", recursive=True)
        later = aliased(table)
        following = (
            select(func.min(later.owner))
            .where(*_waits(later), later.owner > found.c.owner)
            .correlate(found)
            .scalar_subquery()
        )
        found = found.union_all(select(following).where(found.c.owner.is_not(None)))
        oldest = (
            select(func.min(table.sequence))
            .where(*_waits(table), table.owner == found.c.owner)
            .correlate(found)
            .scalar_subquery()
        )
        rows = select(found.c.owner, oldest).where(found.c.owner.is_not(None))
        return [WaitingOwner(owner, number or 0) for owner, number in self._session.execute(rows)]

    def oldest(self, owner: str, besides: Collection[str]) -> AnyRecord | None:
        """Return the oldest queued row of an owner whose job's id is not in `besides`, or None."""
        table = self._table
        job_id = EncoderRecord.job_id if table is EncoderRecord else table.id
        return self._first(table.owner == owner, job_id.not_in(besides))

    def first_of(self, owner: str, besides: Collection[str], most: int) -> Sequence[AnyRecord]:
        """Return the oldest queued rows of an owner, up to `most`, as `oldest` returns one."""
        table = self._table
        where = (*_waits(table), table.owner == owner, table.id.not_in(besides))
        rows = select(table).where(*where).order_by(table.sequence).limit(most)
        found = self._session.scalars(rows).all()
        for record in found:
            self._session.expunge(record)  # as in `_first`
        return found

    def held(self) -> Counter[tuple[str, int]]:
        """Return the number of videos that replicas work on, by replica and number of frames."""
        held = (VideoRecord.status.in_(PENDING), VideoRecord.replica.is_not(None))
        groups = (VideoRecord.replica, VideoRecord.frames)
        rows = select(*groups, func.count()).where(*held).group_by(*groups)
        return Counter(
            {(name or "", frames): count for name, frames, count in self._session.execute(rows)}
        )

    def waiting(self, most: int) -> tuple[int, int | None]:
        """Return the number of queued rows, `most` at most, and when the oldest was accepted."""
        table = self._table
        some = select(table.created_at).where(*_waits(table)).limit(most).subquery()
        count = self._session.scalar(select(func.count()).select_from(some)) or 0
        oldest = select(table.created_at).where(*_waits(table)).order_by(table.sequence).limit(1)
        return count, self._session.scalar(oldest)

    def interrupted(self, times: int, besides: Collection[str]) -> AnyRecord | None:
        """Return the oldest queued row that was interrupted so often, or more, or None.

        Its id is not in `besides`. All queued rows are read.
        """
        table = self._table
        return self._first(table.interruptions >= times, table.id.not_in(besides))

    def take(self, record: AnyRecord) -> bool:
        """Have a row be this replica's, as a new attempt.

        Return False if it has ended or was deleted just now.
        """
        table = self._table
        done = self._session.execute(
            update(table)
            .where(
                table.sequence == record.sequence,
                table.attempt == record.attempt,
                *_waits(table),
            )
            .values(attempt=record.attempt + 1, replica=self._replica)
            .execution_options(synchronize_session=False)
        )
        if not done.rowcount:  # pyright: ignore[reportAttributeAccessIssue]
            return False
        record.attempt += 1
        record.replica = self._replica
        return True

    def _first(self, *where: ColumnElement[bool]) -> AnyRecord | None:
        table = self._table
        rows = select(table).where(*_waits(table), *where).order_by(table.sequence).limit(1)
        record = self._session.scalars(rows).first()
        if record is not None:
            self._session.expunge(record)  # what the caller changes in it is not to be written
        return record


def _waits(table: type[AnyRecord]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a row waits for a replica of this version."""
    return (
        table.status == QUEUED,
        table.replica.is_(None),
        table.job_version <= JOB_VERSION,
    )
