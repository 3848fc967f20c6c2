"""Requests that wait for their video: its end, and the errors that they are told meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager

from fastapi import Request

from encoders import PalimpsestError
from server.api.events import CallerGone
from server.api.job_answers import job_error
from server.api.visibility import visibility_of
from server.auth.guard import caller_of, check_key
from server.drain import Stopping
from server.errors import ApiError, JobFailed, StorageUnavailable
from server.outage import StorageFault, brief, is_outage
from server.runtime import Runtime
from server.storage.records import PENDING, VideoRecord

log = logging.getLogger(__name__)


async def finished(
    runtime: Runtime, record: VideoRecord, request: Request | None = None
) -> VideoRecord:
    """Wait until the video is completed, and return its record. If cancelled, delete the video.

    Args:
        runtime: the server.
        record: the accepted video.
        request: the request that waits; None is never refused, and is told everything.

    Raises:
        Unauthorized: the request's key was revoked, or has expired. The video stays accepted.
        JobFailed: the video failed, or it was deleted.
        Stopping: the server stops first. The video stays accepted.
    """

    def look() -> VideoRecord:
        now = runtime.records.get(VideoRecord, VideoRecord.id == record.id)
        if now is None:
            raise JobFailed(f"Video {record.id} was deleted.", code="video_deleted")
        return now

    last = record
    try:
        # Apart from those who follow the video: they look at another object.
        async for now in runtime.followers.follow(
            record.id,
            f"{record.owner} waiting",
            look,
            lambda now: now.status not in PENDING,
            lambda: None if request is None else check_key(request),
        ):
            last = now
    except asyncio.CancelledError:
        if not runtime.stopping.is_set():  # else the connection was closed by the server
            runtime.jobs.abandon(record)
        raise
    error = job_error(last)
    if request is not None:
        error = visibility_of(runtime, caller_of(request)).video_error(last)
    if error is not None:
        raise JobFailed(f"Video {last.id} failed: {error.message}", code=error.code)
    return last


@contextmanager
def errors_of_accepted(record: VideoRecord) -> Generator[None]:
    """Let every error in the block name the accepted video, and keep clients from a repeat.

    A client's library that sends the request again would make a second video.

    Raises:
        CallerGone: the caller has closed the connection.
        PalimpsestError: any other error.
    """
    try:
        yield
    except CallerGone:
        raise
    except Exception as error:
        told = _told(record, error)
        if isinstance(told, ApiError):
            told.headers |= {"x-video-id": record.id, "x-should-retry": "false"}
        if told is error:
            raise
        raise told from error


def _told(record: VideoRecord, error: Exception) -> PalimpsestError:
    """Return the error that the caller gets."""
    stays = f"Video {record.id} stays accepted: ask for it at /v1/videos/{record.id}."
    if isinstance(error, Stopping):
        return Stopping(f"The server is stopping. {stays} It is made after the restart.")
    if isinstance(error, PalimpsestError) and not isinstance(error, StorageFault):
        return error
    if is_outage(error):
        log.warning("waiting for %s met an outage: %s", record.id, brief(error))
        return StorageUnavailable(f"The server's storage cannot be used just now. {stays}")
    log.error("waiting for %s went wrong", record.id, exc_info=error)
    return JobFailed(f"Something went wrong in the server. {stays}", code="internal_error")
