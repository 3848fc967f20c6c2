"""Held jobs: the pending rows that replicas work on, living ones and dead ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import and_, or_, select, update

from server.storage.database import Database
from server.storage.notices import Notices, Topic
from server.storage.records import IN_PROGRESS, PENDING, QUEUED, EncoderRecord, VideoRecord
from server.storage.replica_table import alive_ids

AnyRecord = TypeVar("AnyRecord", bound=VideoRecord | EncoderRecord)


class HeldJobs:
    """The rows that name a replica, from the view of one of them.

    Args:
        database: The database.
        replica: Its id.
    """

    def __init__(self, database: Database, replica: str) -> None:
        self._database = database
        self._replica = replica

    def own(self, table: type[AnyRecord]) -> Sequence[AnyRecord]:
        """Return the rows that this replica works on, as far as the database knows."""
        rows = select(table).where(table.status.in_(PENDING), table.replica == self._replica)
        with self._database.reading() as session:
            return session.scalars(rows.order_by(table.sequence)).all()

    def lost(self, table: type[AnyRecord], *, by_silence: bool) -> Sequence[AnyRecord]:
        """Return the rows that a dead replica worked on, the oldest first.

        A replica is dead if it has no row. A row in progress without a replica is of an earlier
        version, which is gone too.

        Args:
            table: The kind of job.
            by_silence: True to count a replica whose lease is over as dead too.
        """
        alive = alive_ids(self._database, silent_too=not by_silence)
        of_dead = and_(
            table.replica.is_not(None),
            table.replica != self._replica,
            table.replica.not_in(alive),
        )
        of_nobody = and_(table.status == IN_PROGRESS, table.replica.is_(None))
        rows = select(table).where(table.status.in_(PENDING), or_(of_dead, of_nobody))
        with self._database.reading() as session:
            return session.scalars(rows.order_by(table.sequence)).all()

    def give_back(self, *, begun: bool) -> None:
        """Queue the rows of this replica again, for any. The attempts under way end.

        Args:
            begun: False for those alone that the engine has not begun.
        """
        for table in (VideoRecord, EncoderRecord):
            with self._database.writing(alone=False) as session:
                given_back = session.scalars(
                    update(table)
                    .where(
                        table.status.in_(PENDING if begun else (QUEUED,)),
                        table.replica == self._replica,
                    )
                    .values(status=QUEUED, replica=None, attempt=table.attempt + 1)
                    .returning(table.sequence)
                ).all()
                if given_back:  # or a server that drains would wake itself, again and again
                    Notices.add(session, Topic.QUEUED, "")  # some may wait for a place
