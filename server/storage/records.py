"""Records: a row for each video and each encoder job.

The row is the truth about the job's state; a job without a row was deleted. It also holds the
job's idempotency key, so that one transaction accepts the job and remembers the key.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from encoders import EncoderRef
from server import tracing
from server.logs import REQUEST_ID
from server.storage.job_version import JOB_VERSION
from server.storage.schema import Base

QUEUED, IN_PROGRESS, COMPLETED, PUBLISHED, FAILED = (
    "queued",
    "in_progress",
    "completed",
    "published",
    "failed",
)
JUDGES = "judges"
"""Key in the settings of a job that judges a published encoder: the encoder's identity."""
COMPOSES = "compose"
"""Key in the settings of a job that makes a composite: its members (`refs`)."""
WAYS = "ways"
"""Key in the settings of a job that looks for ways: the most pictures for each concept."""
FOUND = "found"
"""Key in the settings of a job that is to name a client's pictures: the `kind` that the client
gave, or null; and once they are named, what speaks for the name."""
PENDING = (QUEUED, IN_PROGRESS)


ANY_REQUEST = ""
"""`request_hash` of a job that an earlier version accepted: its hashes are over other fields. The
idempotency key alone then says that a request is repeated."""


# SQLite must never reuse a sequence number: a late write of a deleted job would reach another job.
def _table(name: str) -> tuple[Any, ...]:
    return (
        UniqueConstraint("owner", "idempotency_key"),
        # The dispatcher looks for the oldest row of each owner that is queued and nobody's, and
        # counts those that are somebody's.
        Index(f"ix_{name}_turn", "status", "replica", "owner", "sequence"),
        {"sqlite_autoincrement": True},
    )


class Job(Base):
    """Columns that videos and encoder jobs share. Times are Unix seconds."""

    __abstract__ = True

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    """Order of acceptance."""
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str] = mapped_column(index=True)
    """Id of the key that made the request."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Number of the workflow that works on the job; part of the workflow's id. Only the latest
    attempt may change the row."""
    replica: Mapped[str | None]
    """Id of the replica that works on the job, or ended it; None while the job is anybody's. A job
    that it has begun to work on stays `queued` until the engine takes it up."""
    job_version: Mapped[int] = mapped_column(default=JOB_VERSION, server_default="2")
    """Version of the server that accepted the job (`job_version`); earlier ones do not make it."""
    interruptions: Mapped[int] = mapped_column(default=0)
    """Number of times that the server was killed while it worked on the job, since the job last
    saved a result."""
    status: Mapped[str] = mapped_column(default=QUEUED, index=True)
    progress: Mapped[int] = mapped_column(default=0)
    """Percent."""
    created_at: Mapped[int] = mapped_column(default=lambda: int(time.time()))
    completed_at: Mapped[int | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str]
    request_id: Mapped[str | None] = mapped_column(default=lambda: REQUEST_ID.get())
    """Id of the accepted request, for the log."""
    request_trace: Mapped[dict[str, Any] | None] = mapped_column(default=tracing.request_trace)
    """Place of the accepted request in its trace (`server.tracing`); None without tracing."""


def _ref(
    encoder_id: str | None, identity: str | None, members: Sequence[Any] | None = None
) -> EncoderRef | None:
    # An id without an identity would match no encoder: it must never mean the base.
    return None if encoder_id is None else EncoderRef(encoder_id, identity or "", refs(members))


def refs(stored: Sequence[Any] | None) -> tuple[EncoderRef, ...]:
    """Return the encoders of a stored list of id and identity."""
    return tuple(EncoderRef(one["id"], one["identity"]) for one in stored or ())


def stored_refs(encoders: Iterable[EncoderRef]) -> list[dict[str, str]]:
    """Return encoders as JSON values: id and identity of each."""
    return [{"id": one.id, "identity": one.identity} for one in encoders]


class VideoRecord(Job):
    """A video job, with everything that decides the video's pixels."""

    __tablename__ = "videos"
    __table_args__ = (
        # The bytes that an owner stores are summed before each acceptance.
        Index("ix_videos_stored", "owner", "bytes"),
        *_table(__tablename__),
    )

    model: Mapped[str]
    prompt: Mapped[str]
    negative_prompt: Mapped[str]
    is_cut: Mapped[bool | None]
    """True if the request's texts were longer than the model reads; these are what was kept."""
    encoder_id: Mapped[str | None]
    """None: the base."""
    encoder_identity: Mapped[str | None] = mapped_column("encoder_digest")
    """Earlier versions wrote the digest, which is the identity of an encoder without a trigger."""
    encoder_members: Mapped[list[Any] | None]
    """The encoders of a set that the request put together (`refs`); None: one encoder."""
    seed: Mapped[int]
    steps: Mapped[int]
    guidance: Mapped[float]
    frames: Mapped[int]
    fps: Mapped[int]
    width: Mapped[int]
    """Pixels, as delivered."""
    height: Mapped[int]
    decisions: Mapped[list[Any] | None]
    """For each text that was embedded: the decisions of the encoders (`decisions_json`)."""
    inference_seconds: Mapped[float | None]
    """Time from the first denoising step to the decoded frames."""
    lifetime: Mapped[int]
    """Seconds from the job's end to the video's removal."""
    expires_at: Mapped[int | None] = mapped_column(index=True)
    deadline: Mapped[int | None]
    """Time after which the video is of no use."""
    bytes: Mapped[int | None]
    """Size of the video's files."""

    @property
    def job_id(self) -> str:
        """The video's id."""
        return self.id

    @property
    def encoder_ref(self) -> EncoderRef | None:
        """The encoder that the request was pinned to; None is the base."""
        return _ref(self.encoder_id, self.encoder_identity, self.encoder_members)


class EncoderRecord(Job):
    """An encoder job. `id` is the encoder's; `job_id` is this attempt at making it."""

    __tablename__ = "encoder_jobs"
    __table_args__ = _table(__tablename__)

    job_id: Mapped[str] = mapped_column(unique=True)
    concepts: Mapped[list[Any]]
    """All concepts of the encoder's card: the parent's first, then the job's own."""
    parent: Mapped[str | None]
    parent_digest: Mapped[str | None]
    settings: Mapped[dict[str, Any]]
    gate: Mapped[dict[str, Any]]
    """Thresholds of the gate, the fields of `unlearn.Gate`."""
    phase: Mapped[str] = mapped_column(default=QUEUED)
    phases: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Percent of each phase."""
    seconds_left: Mapped[int | None]
    """Estimate of the time to the job's end."""
    training: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    """The optimisation so far (`server.jobs.training`); None before it has begun."""
    measures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    publication: Mapped[str | None]
    """SHA-256 of the signed statement of the published encoder (`marking.publication`)."""
    claim: Mapped[dict[str, Any] | None]
    """The claim that it was made for (`marking.claim.Claim`), for admins alone; or None."""

    @property
    def judges(self) -> EncoderRef | None:
        """The published encoder that this job judges; None for a job that makes an encoder."""
        identity = self.settings.get(JUDGES)
        return EncoderRef(self.id, identity) if isinstance(identity, str) else None

    @property
    def composes(self) -> tuple[EncoderRef, ...]:
        """The members of the composite that this job judges and publishes; none for any other."""
        return refs(self.settings.get(COMPOSES))

    @property
    def way_pictures(self) -> int:
        """The most pictures by which ways to each of the job's concepts are looked for; 0: none."""
        return int(self.settings.get(WAYS, 0))

    @property
    def own_settings(self) -> dict[str, Any]:
        """The settings of the method, without what the job itself keeps there."""
        return {k: v for k, v in self.settings.items() if k not in (COMPOSES, WAYS, FOUND)}

    @property
    def names_pictures(self) -> bool:
        """True if the job has pictures of a concept that nobody named, and was to name it."""
        return FOUND in self.settings

    @property
    def parent_ref(self) -> EncoderRef | None:
        """The parent encoder that the job was pinned to; None is the base."""
        return _ref(self.parent, self.parent_digest)


JobRecord = VideoRecord | EncoderRecord
