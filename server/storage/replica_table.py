"""The table of replicas: which servers work on the database, and until when each counts as alive.

All times are by the database's clock, so no two machines need to have the same time. Of a database
that one server uses at a time, the lock of the data directory says that the others are dead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, select, true, update
from sqlalchemy.orm import Session

from server.storage.database import Database
from server.storage.notices import Notices, Topic
from server.storage.records import PENDING, EncoderRecord, VideoRecord
from server.storage.replica_rows import ReplicaRow
from server.storage.storage_errors import StorageAway

LEASE_S = 12.0
"""Time after its last heartbeat at which a replica counts as dead."""
KEPT_S = 600.0
"""Time for which the row of a dead replica is kept."""


class UsedByAnother(StorageAway):
    """Error: another server works on the database, and this one cannot read its files."""


class OtherModel(StorageAway):
    """Error: a living replica has another model, so that requests would get one or the other."""

    code = "other_model"


@dataclass(frozen=True)
class Standing:
    """A replica among the others, as of its last heartbeat."""

    leads: bool
    """True for the one of all living replicas that does what one has to do for all."""
    slots: int
    """Videos that the living replicas which have their model and are not draining work on at a
    time, all together."""
    workers: int
    """Living replicas that take videos, have their model, and are not draining."""
    audits: bool
    """True for the one of those that make encoders, and can do so now, which audits them."""
    draining: bool = False
    """True once it was told to take no more jobs."""


@dataclass(frozen=True)
class Listed:
    """A replica in a list."""

    row: ReplicaRow
    is_alive: bool
    leads: bool
    """True for the one of all living replicas that does what one has to do for all."""
    jobs: Mapping[str, Sequence[str]]
    """Table → ids of the jobs that it works on."""


class ReplicaTable:
    """The replicas of one database. Every method is one short transaction.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_shared = database.is_shared
        """False if the caller is the only one by the lock of its data directory."""
        self.refused: UsedByAnother | OtherModel | None = None
        """The error of the last `join`, until one succeeds."""

    def join(self, replica: ReplicaRow, *, before: str = "") -> Standing:
        """Write the row of a replica that begins, or begins again.

        Args:
            replica: The row; its times are set here.
            before: Id of the replica that used the data directory before, and so is dead;
                "" if there is none.

        Raises:
            UsedByAnother: A living replica has its files where this one would not find them.
            OtherModel: One has another model.
        """
        with self._database.writing() as session:
            others = ReplicaRow.id != replica.id
            gone = ReplicaRow.id == before if self.is_shared else true()
            session.execute(delete(ReplicaRow).where(others, gone))
            apart = session.scalars(
                select(ReplicaRow).where(
                    others,
                    self._is_alive(),
                    (ReplicaRow.store != replica.store) | (ReplicaRow.store == ""),
                )
            ).first()
            if apart is not None:
                self.refused = UsedByAnother(_refusal(self._database.name, apart))
                raise self.refused
            if replica.model is not None:  # it begins again, and others may have come meanwhile
                self.check_model(session, replica.id, replica.model)
            self.refused = None
            now = session.scalar(select(self._database.clock))
            assert now is not None
            known = session.get(ReplicaRow, replica.id)  # it begins again
            draining = replica.draining or (known is not None and known.draining)
            values = {**_values(replica), "started_at": now, "seen_at": now, "draining": draining}
            session.merge(ReplicaRow(**values))
            session.flush()
            return self._standing(session, replica.id)

    def check_model(self, session: Session, replica_id: str, model: str) -> None:
        """Check that no living replica but this one has another model than this one's.

        Raises:
            OtherModel: One has.
        """
        other = session.scalars(
            select(ReplicaRow).where(
                ReplicaRow.id != replica_id, self._is_alive(), ReplicaRow.model != model
            )
        ).first()
        if other is not None:
            self.refused = OtherModel(
                f"{self._database.name} has a server with the model {other.model} ({_at(other)}), "
                f"and this one has {model}: give both the same PALIMPSEST_BACKBONE and "
                "PALIMPSEST_JUDGE, or stop every server with that one first."
            )
            raise self.refused
        self.refused = None

    def renew(self, replica_id: str) -> Standing | None:
        """Write a heartbeat. Return None if it is too late: the replica counts as dead.

        One that a crash of the database's machine loses was as good as not written.
        """
        with self._database.writing(alone=False, durable=False) as session:
            done = session.execute(
                update(ReplicaRow)
                .where(ReplicaRow.id == replica_id, self._is_alive())
                .values(seen_at=self._database.clock)
            )
            if not done.rowcount:  # pyright: ignore[reportAttributeAccessIssue]
                return None
            return self._standing(session, replica_id)

    def leave(self, replica_id: str) -> None:
        """Delete the row of a replica that ends."""
        with self._database.writing(alone=False) as session:
            session.execute(delete(ReplicaRow).where(ReplicaRow.id == replica_id))

    def sweep(self) -> None:
        """Delete the rows of replicas that have long been dead."""
        if self.is_shared:
            with self._database.writing(alone=False) as session:
                due = ReplicaRow.seen_at < self._database.clock - KEPT_S
                session.execute(delete(ReplicaRow).where(due))

    def drain(self, replica_id: str) -> bool:
        """Tell a living replica to take no more jobs. Return False if there is none of this id."""
        with self._database.writing(alone=False) as session:
            done = session.execute(
                update(ReplicaRow)
                .where(ReplicaRow.id == replica_id, self._is_alive())
                .values(draining=True)
            )
            Notices.add(session, Topic.REPLICA, replica_id)
            return bool(done.rowcount)  # pyright: ignore[reportAttributeAccessIssue]

    def listed(self) -> Sequence[Listed]:
        """Return all replicas that have a row, in the order in which they began."""
        with self._database.reading() as session:
            jobs: defaultdict[str, defaultdict[str, list[str]]]
            jobs = defaultdict(lambda: defaultdict(list))
            for table in (VideoRecord, EncoderRecord):
                held = select(table.replica, table.id).where(
                    table.status.in_(PENDING), table.replica.is_not(None)
                )
                for replica, job in session.execute(held.order_by(table.sequence)).tuples():
                    jobs[replica or ""][table.__tablename__].append(job)
            rows = session.execute(
                select(ReplicaRow, self._is_alive()).order_by(ReplicaRow.started_at, ReplicaRow.id)
            ).tuples()
            found = [(row, bool(is_alive)) for row, is_alive in rows]
        leader = next((row.id for row, is_alive in found if is_alive), None)
        return [
            Listed(row, is_alive, row.id == leader, jobs.get(row.id, {})) for row, is_alive in found
        ]

    def ids(self) -> set[str]:
        """Return the ids of all replicas that have a row."""
        with self._database.reading() as session:
            return set(session.scalars(select(ReplicaRow.id)))

    def _standing(self, session: Session, replica_id: str) -> Standing:
        alive = self._is_alive()
        order = (ReplicaRow.started_at, ReplicaRow.id)
        first = select(ReplicaRow.id).where(alive).order_by(*order).limit(1)
        # A server that is alone with its database does not publish its model.
        has_model = ReplicaRow.model.is_not(None) if self.is_shared else true()
        works = (alive, has_model, ReplicaRow.draining.is_(False))
        makes_encoders = ReplicaRow.role.in_(("all", "encoders"))
        auditor = select(ReplicaRow.id).where(*works, makes_encoders).order_by(*order).limit(1)
        slots = select(func.sum(ReplicaRow.slots))
        # While none works (all of them load their model), the places are those that there will be.
        places = session.scalar(slots.where(*works)) or session.scalar(slots.where(alive))
        workers = select(func.count()).where(*works, ReplicaRow.slots > 0)
        own = select(ReplicaRow.draining).where(ReplicaRow.id == replica_id)
        return Standing(
            leads=session.scalar(first) == replica_id,
            slots=int(places or 0),
            workers=session.scalar(workers) or 0,
            audits=session.scalar(auditor) == replica_id,
            draining=bool(session.scalar(own)),
        )

    def _is_alive(self) -> ColumnElement[bool]:
        return is_alive(self._database)


def is_alive(database: Database) -> ColumnElement[bool]:
    """Return the condition under which a replica counts as alive."""
    # Where the others are dead for sure, their rows are deleted at the start, and no row ages.
    return ReplicaRow.seen_at >= database.clock - LEASE_S if database.is_shared else true()


def alive_ids(database: Database, *, silent_too: bool) -> ScalarSelect[str]:
    """Return a query for the ids of the living replicas.

    Args:
        database: The database.
        silent_too: True to count those too whose lease is over, as long as they have a row.
    """
    rows = select(ReplicaRow.id)
    if not silent_too:
        rows = rows.where(is_alive(database))
    return rows.scalar_subquery()


def _values(replica: ReplicaRow) -> dict[str, object]:
    return {column.name: getattr(replica, column.name) for column in ReplicaRow.__table__.columns}


def _at(other: ReplicaRow) -> str:
    return f"{other.url or f'process {other.process}'} on {other.host}"


def _refusal(database: str, other: ReplicaRow) -> str:
    return (
        f"{database} is used by another server ({_at(other)}), and the files of the two "
        "are in different places: stop that one, or set PALIMPSEST_STORE of both to one bucket."
    )
