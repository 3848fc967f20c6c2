"""Encoders that are named in a request and are not published: being made, or failed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from encoders import EncoderNotFound
from server.api.job_answers import job_error
from server.api.visibility import visibility_of
from server.auth.keys import Caller
from server.errors import Conflict
from server.runtime import Runtime
from server.storage.records import FAILED, PENDING, PUBLISHED, EncoderRecord


@contextmanager
def explained(runtime: Runtime, caller: Caller, *names: str | None) -> Generator[None]:
    """Say more about an encoder that is not found inside the `with` block.

    Use it only where the caller is known to be allowed to name the encoder: the error tells that
    there is a job. Of other encoders it tells what the caller may see.

    Args:
        runtime: The server.
        caller: The sender of the request.
        names: The encoders that the request names.

    Raises:
        Conflict: It is being made (`encoder_not_ready`), with its phase and progress.
        EncoderNotFound: It could not be made, and why; or nothing is known of it.
    """
    try:
        yield
    except EncoderNotFound as error:
        named = [name for name in names if name and repr(name) in str(error)]
        name = named[0] if named else None
        record = name and runtime.records.get(EncoderRecord, EncoderRecord.id == name)
        if not record or record.status == PUBLISHED:  # another name was not found
            raise
        if record.status in PENDING:
            raise Conflict(
                f"Encoder {name!r} is being made ({record.phase}, {record.progress} %): follow "
                f"/v1/encoders/{name} and send the request again once it is published.",
                param=error.param,
                code="encoder_not_ready",
                headers={"x-should-retry": "false"},  # it takes longer than a client's retries
            ) from error
        assert record.status == FAILED
        reason = visibility_of(runtime, caller).error(job_error(record), record.parent)
        raise EncoderNotFound(
            f"There is no encoder {name!r}: it could not be made. "
            + (reason.message if reason is not None else ""),
            param=error.param,
        ) from error
