"""Limits of keys in the API: every change that a key makes passes here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from fastapi import Depends, Request

from server.auth.guard import caller_of
from server.auth.keys import Caller
from server.errors import QueueFull, QuotaExceeded, RateLimited
from server.runtime import Runtime, runtime_of
from server.storage.records import EncoderRecord, VideoRecord

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
AnyRecord = TypeVar("AnyRecord", VideoRecord, EncoderRecord)


def accept_within_limits(
    runtime: Runtime, caller: Caller, record: AnyRecord, replaced: AnyRecord | None = None
) -> AnyRecord:
    """Record a job of this caller, within its limits and the server's, and start it.

    Returns the job that the record's idempotency key already stands for, if there is one.

    Args:
        runtime: the server.
        caller: the job's owner.
        record: the new job.
        replaced: an ended job of the same id, whose row is deleted if the new one is recorded.

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
            replaced=replaced,
            stored_key=caller.is_stored,
        )
    runtime.jobs.wake()
    return accepted


async def write(
    request: Request,
    action: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Return the result of a function that writes to the database, called on a thread for writes.

    Every route that changes something calls this, so that those that only read never wait for it.

    Raises:
        StorageUnavailable: the database is locked, or too many writes wait.
    """
    writes = runtime_of(request).storage.writes
    return await writes.run(caller_of(request).id, partial(action, *args, **kwargs))


async def count_change(request: Request) -> None:
    """Count a request against its key's limit; a dependency. Raise RateLimited."""
    await write(request, _count, runtime_of(request), caller_of(request))


def _count(runtime: Runtime, caller: Caller) -> None:
    with _refusals_counted(runtime, caller):
        runtime.storage.usage.count_request(
            caller.id, runtime.key_policy.of_caller(caller), stored_key=caller.is_stored
        )


COUNTED = Depends(count_change)
"""Dependency of the routes that change or delete something, or take long to answer."""


@contextmanager
def _refusals_counted(runtime: Runtime, caller: Caller) -> Generator[None]:
    try:
        yield
    except (RateLimited, QuotaExceeded, QueueFull) as error:
        limit = error.param or "queue"
        runtime.metrics.key_refused.labels(caller.id, limit).inc()
        raise
