"""What the server remembers: videos and encoder jobs, in SQLite beside the data.

Each job's row also holds its idempotency key, so that accepting a job and remembering its key are
one transaction. ``owner`` is the id of the key that made it. A job's row is the truth about its
state; a job whose row is gone was deleted.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    func,
    select,
    update,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    Mapped,
    Session,
    mapped_column,
)

from server.errors import Conflict, QueueFull, Unprocessable
from server.logs import REQUEST_ID
from server.storage.notifier import JobNotifier

QUEUED, IN_PROGRESS, COMPLETED, PUBLISHED, FAILED = (
    "queued",
    "in_progress",
    "completed",
    "published",
    "failed",
)
PENDING = (QUEUED, IN_PROGRESS)


class _Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON}


# Sequence numbers are never used twice: what a deleted job still writes must not reach another.
_TABLE = (UniqueConstraint("owner", "idempotency_key"), {"sqlite_autoincrement": True})


class Job(_Base):
    """What videos and encoder jobs have in common. Times are Unix seconds."""

    __abstract__ = True

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    """Order of acceptance."""
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str] = mapped_column(index=True)
    attempt: Mapped[int] = mapped_column(default=0)
    """How many workflows were started for it; part of the workflow's id."""
    interruptions: Mapped[int] = mapped_column(default=0)
    """How often the server went down while it worked on it."""
    status: Mapped[str] = mapped_column(default=QUEUED, index=True)
    progress: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[int] = mapped_column(default=lambda: int(time.time()))
    completed_at: Mapped[int | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str]
    request_id: Mapped[str | None] = mapped_column(default=lambda: REQUEST_ID.get())
    """Of the request that was accepted, for the log."""


class VideoRecord(Job):
    """A video asked for, with everything that decides its pixels."""

    __tablename__ = "videos"
    __table_args__ = _TABLE

    model: Mapped[str]
    prompt: Mapped[str]
    negative_prompt: Mapped[str]
    encoder_id: Mapped[str | None]
    """None: the base."""
    encoder_digest: Mapped[str | None]
    seed: Mapped[int]
    steps: Mapped[int]
    guidance: Mapped[float]
    frames: Mapped[int]
    fps: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    inference_seconds: Mapped[float | None]
    """From its first step to its frames."""
    lifetime: Mapped[int]
    """Seconds from its end to its removal."""
    expires_at: Mapped[int | None] = mapped_column(index=True)
    deadline: Mapped[int | None]
    """When it is of no more use."""
    bytes: Mapped[int | None]
    """Of its files."""


class EncoderRecord(Job):
    """An encoder asked for. ``id`` is the encoder's; ``job_id`` is this attempt at making it."""

    __tablename__ = "encoder_jobs"
    __table_args__ = _TABLE

    job_id: Mapped[str] = mapped_column(unique=True)
    concepts: Mapped[list[Any]]
    """All that it is to forget, as in its card: what its parent forgets first."""
    parent: Mapped[str | None]
    parent_digest: Mapped[str | None]
    settings: Mapped[dict[str, Any]]
    gate: Mapped[dict[str, Any]]
    """The thresholds it has to reach, as in :class:`unlearn.Gate`."""
    phase: Mapped[str] = mapped_column(default=QUEUED)
    phases: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Percent of each phase."""
    measures: Mapped[dict[str, Any]] = mapped_column(default=dict)


AnyJob = TypeVar("AnyJob", bound=Job)


class Records:
    """The tables, with one short transaction a call."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        # Writers take SQLite's lock at once: one that began by reading could not wait for it.
        self._writer = self._engine.execution_options(immediate=True)
        _Base.metadata.create_all(self._writer)
        self.listeners = JobNotifier()
        """Of the jobs by their ids; told of every change."""

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
        """The job that ``owner`` made with this idempotency key, if any.

        Raises Unprocessable when the key came with another request.
        """
        with self._read() as session:
            return _repeated(session, table, owner, key, digest)

    def accept(self, job: AnyJob, *, limit: int) -> AnyJob:
        """Record a job, or return the one its idempotency key already stands for.

        Raises:
            QueueFull: ``limit`` jobs of its table are pending.
            Conflict: its id is taken.
            Unprocessable: its idempotency key came with another request.
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
        """The first row for which every condition holds."""
        with self._read() as session:
            return session.scalars(select(table).where(*where)).first()

    def page(
        self, table: type[AnyJob], owner: str, *, after: str | None, limit: int, descending: bool
    ) -> tuple[Sequence[AnyJob], bool] | None:
        """Up to ``limit`` rows of ``owner`` that follow ``after``, and whether more do.

        None when there is no row ``after``.
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
        """Every row for which the conditions hold, in order of acceptance."""
        with self._read() as session:
            return session.scalars(select(table).where(*where).order_by(table.sequence)).all()

    def count(self, table: type[Job], status: str) -> int:
        """How many jobs are in this status."""
        with self._read() as session:
            return session.scalar(select(func.count()).where(table.status == status)) or 0

    def total(self, column: InstrumentedAttribute[int | None]) -> int:
        """The sum of a column."""
        with self._read() as session:
            return session.scalar(select(func.sum(column))) or 0

    def change(self, job: Job, **values: Any) -> bool:
        """Write ``values`` to a pending job; False if it has ended or was deleted meanwhile.

        Nothing else ends a job, so that a job ends once.
        """
        table = type(job)
        still = (table.sequence == job.sequence, table.id == job.id, table.status.in_(PENDING))
        with self._write() as session:
            done = session.execute(update(table).where(*still).values(**values))
            changed = bool(done.rowcount)  # pyright: ignore[reportAttributeAccessIssue]
        if changed:
            self.listeners.tell(job.id)
        return changed

    def pending(self, job: Job) -> bool:
        """Whether it is still to be done: neither ended nor deleted."""
        table = type(job)
        still = (table.sequence == job.sequence, table.id == job.id, table.status.in_(PENDING))
        return self.get(table, *still) is not None

    def remove(self, job: Job) -> None:
        """Delete the row; its idempotency key is free again."""
        with self._write() as session:
            session.execute(delete(type(job)).where(type(job).sequence == job.sequence))
        self.listeners.tell(job.id)


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
    # We begin transactions ourselves (see _begin), so the driver must not.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # An accepted job survives a power cut too.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
