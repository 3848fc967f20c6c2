"""Limits of keys in the API: every change that a key makes passes here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

from fastapi import Depends, Request

from server.auth.guard import caller_of
from server.auth.keys import Caller
from server.errors import QueueFull, QuotaExceeded, RateLimited
from server.runtime import Runtime, runtime_of
from server.storage.records import EncoderRecord, VideoRecord

AnyRecord = TypeVar("AnyRecord", VideoRecord, EncoderRecord)


def accept_within_limits(runtime: Runtime, caller: Caller, record: AnyRecord) -> AnyRecord:
    """Record a job of this caller, within its limits and the server's, and start it.

    Returns the job that the record's idempotency key already stands for, if there is one.

    Raises:
        PalimpsestError: a limit is reached, or the id is taken, as `RecordStore.accept` says.
    """
    settings = runtime.settings
    is_video = isinstance(record, VideoRecord)
    with _refusals_counted(runtime, caller):
        accepted = runtime.records.accept(
            record,
            limit=settings.max_queued_videos if is_video else settings.max_queued_encoders,
            key_limits=runtime.key_policy.of_caller(caller),
        )
    runtime.jobs.wake()
    return accepted


def count_change(request: Request) -> None:
    """Count a request that changes or deletes something; a dependency. Raise RateLimited."""
    runtime, caller = runtime_of(request), caller_of(request)
    with _refusals_counted(runtime, caller):
        runtime.storage.usage.count_request(caller.id, runtime.key_policy.of_caller(caller))


COUNTED = Depends(count_change)
"""Dependency of the routes that change or delete something."""


@contextmanager
def _refusals_counted(runtime: Runtime, caller: Caller) -> Generator[None]:
    try:
        yield
    except (RateLimited, QuotaExceeded, QueueFull) as error:
        limit = error.param or "queue"
        runtime.metrics.key_refused.labels(caller.id, limit).inc()
        raise
