"""Ids that are taken: by a job, or by an alias."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from encoders import AliasExists
from server.errors import Conflict
from server.storage.alias_rows import AliasRow
from server.storage.records import EncoderRecord, Job


def check_id(session: Session, job: Job, replaced: Job | None) -> None:
    """Check that the id of a new job is free.

    Args:
        session: A transaction that writes alone.
        job: The new job.
        replaced: A job whose id it may take.

    Raises:
        Conflict: Another job has it.
        AliasExists: The job is an encoder's, and an alias has its id.
    """
    table = type(job)
    taken = session.scalar(select(table.sequence).where(table.id == job.id))
    if taken is not None and (replaced is None or taken != replaced.sequence):
        raise Conflict(
            f"{job.id!r} is taken. Choose another id, or delete it first.",
            param="id",
            code="encoder_exists",
        )
    if table is EncoderRecord and session.get(AliasRow, job.id) is not None:
        raise alias_exists(job.id)


def alias_exists(name: str) -> AliasExists:
    """Return the error for an encoder whose id is an alias."""
    return AliasExists(
        f"{name!r} is an alias: choose another id, or delete the alias first.", param="id"
    )
