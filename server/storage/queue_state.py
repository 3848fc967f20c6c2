"""The state of the queues, for whoever watches: how much waits, since when, and who is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import case, func, select

from server.storage.database import Database
from server.storage.records import PENDING, EncoderRecord, VideoRecord
from server.storage.replica_rows import ReplicaRow
from server.storage.replica_table import is_alive

TABLES: Mapping[str, type[VideoRecord] | type[EncoderRecord]] = {
    "videos": VideoRecord,
    "encoders": EncoderRecord,
}
"""Table of each queue."""


class QueueState(NamedTuple):
    """One queue, as the database has it: the same for every replica."""

    waiting: int
    """Jobs that no replica works on."""
    running: int
    """Jobs that replicas work on, all of them together."""
    oldest: int | None
    """Time at which the oldest job that waits was accepted, in Unix seconds; None if none waits."""


def queue_state(database: Database, table: type[VideoRecord] | type[EncoderRecord]) -> QueueState:
    """Return the state of the queue of one kind of job."""
    waits = table.replica.is_(None)
    columns = (
        func.count(case((waits, 1))),
        func.count(case((~waits, 1))),
        func.min(case((waits, table.created_at))),
    )
    with database.reading() as session:
        rows = select(*columns).where(table.status.in_(PENDING))
        return QueueState(*session.execute(rows).one())


def replicas_by_role(database: Database) -> dict[str, int]:
    """Return the number of living replicas by their role."""
    alive = is_alive(database)
    rows = select(ReplicaRow.role, func.count()).where(alive).group_by(ReplicaRow.role)
    with database.reading() as session:
        return dict(session.execute(rows).tuples().all())
