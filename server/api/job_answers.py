"""Answers about jobs: the parts that videos and encoders share."""

from __future__ import annotations

from fastapi import Response

from server.api.response_models import JobError
from server.storage.records import FAILED, Job

_POLL_AFTER_MS = 500


def job_error(record: Job) -> JobError | None:
    """Return the reason why a job failed; None for a job that has not failed."""
    if record.status != FAILED:
        return None
    return JobError(code=record.error_code or "", message=record.error_message or "")


def advise_polling(response: Response) -> None:
    """Tell the client how long to wait before it asks about the job again.

    The header is OpenAI's; their client waits so many milliseconds.
    """
    response.headers["openai-poll-after-ms"] = str(_POLL_AFTER_MS)
