"""Errors about encoders that a request names: being made, failed, or not to be told of."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from encoders import EncoderNotFound, PalimpsestError
from server.api.visibility import visibility_of
from server.auth.keys import Caller
from server.errors import Conflict
from server.runtime import Runtime
from server.storage.records import FAILED, PENDING, PUBLISHED, EncoderRecord


@contextmanager
def explained(runtime: Runtime, caller: Caller, *names: str | None) -> Generator[None]:
    """Raise errors about encoders inside the `with` block as the caller may read them.

    Of an encoder that is not found it says more.

    Use it only where the caller is known to be allowed to name the encoder: the error tells that
    there is a job. Of other encoders it tells what the caller may see.

    Args:
        runtime: The server.
        caller: The sender of the request.
        names: The encoders that the request names.

    Raises:
        Conflict: It is being made (`encoder_not_ready`), with its phase and progress.
        EncoderNotFound: It could not be made, and why; or nothing is known of it.
        MemberUnusable: The error is about an encoder that the caller may not know.
        PalimpsestError: Any other error of the block.
    """
    visibility = visibility_of(runtime, caller)
    try:
        yield
    except PalimpsestError as error:
        record = _unpublished(runtime, error, names)
        if record is None:
            told = visibility.refusal(error, [name for name in names if name])
            if told is error:
                raise
            raise told from error
        if record.status in PENDING:
            raise Conflict(
                f"Encoder {record.id!r} is being made ({record.phase}, {record.progress} %): "
                f"follow /v1/encoders/{record.id} and send the request again once it is published.",
                param=error.param,
                code="encoder_not_ready",
                headers={"x-should-retry": "false"},  # it takes longer than a client's retries
            ) from error
        assert record.status == FAILED
        reason = visibility.encoder_error(record)
        raise EncoderNotFound(
            f"There is no encoder {record.id!r}: it could not be made. "
            + (reason.message if reason is not None else ""),
            param=error.param,
        ) from error


def _unpublished(
    runtime: Runtime, error: PalimpsestError, names: Sequence[str | None]
) -> EncoderRecord | None:
    """Return the job of the encoder that was not found; None if none is known of."""
    if not isinstance(error, EncoderNotFound):
        return None
    name = next((name for name in names if name and repr(name) in str(error)), None)
    if name is None:
        return None
    record = runtime.records.get(EncoderRecord, EncoderRecord.id == name)
    is_published = record is not None and record.status == PUBLISHED  # another was not found
    return None if is_published else record
