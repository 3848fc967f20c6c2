"""The database of jobs: SQLite beside the data."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, create_engine, delete, event, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from server.errors import Conflict, QueueFull, Unprocessable
from server.storage.notifier import JobNotifier
from server.storage.records import PENDING, Job
from server.storage.schema import Base

AnyJob = TypeVar("AnyJob", bound=Job)


class RecordStore:
    """The tables of jobs, in SQLite. Every method is one short transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        # Writers take SQLite's lock when they begin: a transaction that has read already cannot
        # wait for the lock, since SQLite refuses it at once.
        self._writer = self._engine.execution_options(immediate=True)
        Base.metadata.create_all(self._writer)
        self.notifier = JobNotifier()
        """Notified of every change, by the job's id."""

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Generator[Session]:
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def _read(self) -> Generator[Session]:
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

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
        with self._read() as session:
            return _repeated(session, table, owner, key, digest)

    def accept(self, job: AnyJob, *, limit: int) -> AnyJob:
        """Record a job, or return the job that its idempotency key already stands for.

        Raises:
            QueueFull: `limit` jobs of this kind are pending.
            Conflict: The id is taken.
            Unprocessable: The idempotency key came with another request.
        """
        table = type(job)
        with self._write() as session:
            earlier = _repeated(session, table, job.owner, job.idempotency_key, job.request_hash)
            if earlier is not None:
                return earlier
            if session.scalar(select(table.sequence).where(table.id == job.id)) is not None:
                raise Conflict(
                    f"{job.id!r} is taken. Choose another id, or delete it first.",
                    param="id",
                    code="encoder_exists",
                )
            pending = select(func.count()).where(table.status.in_(PENDING))
            if (session.scalar(pending) or 0) >= limit:
                raise QueueFull(
                    f"{limit} jobs are waiting already. Try again later.",
                    headers={"Retry-After": "5"},
                )
            session.add(job)
        return job

    def get(self, table: type[AnyJob], *where: ColumnElement[bool]) -> AnyJob | None:
        """Return the first row for which every condition holds, or None."""
        with self._read() as session:
            return session.scalars(select(table).where(*where)).first()

    def page(
        self, table: type[AnyJob], owner: str, *, after: str | None, limit: int, descending: bool
    ) -> tuple[Sequence[AnyJob], bool] | None:
        """Return up to `limit` rows of `owner` that follow `after`, and True if there are more.

        None if `owner` has no row `after`.
        """
        with self._read() as session:
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
        with self._read() as session:
            return session.scalars(select(table).where(*where).order_by(table.sequence)).all()

    def count(self, table: type[Job], status: str) -> int:
        """Count the jobs in this status."""
        with self._read() as session:
            return session.scalar(select(func.count()).where(table.status == status)) or 0

    def total(self, column: InstrumentedAttribute[int | None]) -> int:
        """Return the sum of a column; 0 if there are no rows."""
        with self._read() as session:
            return session.scalar(select(func.sum(column))) or 0

    def change(self, job: Job, **values: Any) -> bool:
        """Write `values` to a pending job; return False if it has ended or was deleted.

        Every end of a job is written here, so a job ends once.
        """
        table = type(job)
        still = (table.sequence == job.sequence, table.id == job.id, table.status.in_(PENDING))
        with self._write() as session:
            done = session.execute(update(table).where(*still).values(**values))
            changed = bool(done.rowcount)  # pyright: ignore[reportAttributeAccessIssue]
        if changed:
            self.notifier.notify(job.id)
        return changed

    def is_pending(self, job: Job) -> bool:
        """Return True if the job has neither ended nor been deleted."""
        table = type(job)
        still = (table.sequence == job.sequence, table.id == job.id, table.status.in_(PENDING))
        return self.get(table, *still) is not None

    def remove(self, job: Job) -> None:
        """Delete the row. Its idempotency key can be used again."""
        with self._write() as session:
            session.execute(delete(type(job)).where(type(job).sequence == job.sequence))
        self.notifier.notify(job.id)


def _repeated(
    session: Session, table: type[AnyJob], owner: str, key: str | None, digest: str
) -> AnyJob | None:
    if key is None:
        return None
    earlier = session.scalars(
        select(table).where(table.owner == owner, table.idempotency_key == key)
    ).first()
    if earlier is not None and earlier.request_hash != digest:
        raise Unprocessable(f"Idempotency-Key {key!r} was used for another request. Use a new one.")
    return earlier


def _configure(connection: Any, record: Any) -> None:
    # `_begin` begins every transaction, so the driver must not.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # An accepted job must survive a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
