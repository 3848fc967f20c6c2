"""Notices about jobs, given in the transactions that change their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from server.storage.notices import Notices, Topic
from server.storage.records import PENDING, QUEUED, Job, JobRecord


def accepted(session: Session, job: Job) -> None:
    """Give notice of a new job."""
    Notices.add(session, Topic.QUEUED, job.id)


def changed(session: Session, job: JobRecord, values: Mapping[str, Any]) -> None:
    """Give notice of a job's change.

    Args:
        session: The transaction that changes it.
        job: The job.
        values: The columns' new values.
    """
    status = values.get("status")
    Notices.add(session, Topic.JOB, job.id)
    if "attempt" in values or (status is not None and status not in PENDING):
        Notices.add(session, Topic.ATTEMPT, job.job_id)
    if status == QUEUED:
        Notices.add(session, Topic.QUEUED, job.id)


def removed(session: Session, job: JobRecord) -> None:
    """Give notice of a job whose row is deleted."""
    Notices.add(session, Topic.JOB, job.id)
    Notices.add(session, Topic.ATTEMPT, job.job_id)
