"""Errors of the API, and their one shape: `{"error": {"message", "type", "param", "code"}}`.

Every answer of 400 or more has it: `server.api.error_handlers` sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from encoders.errors import PalimpsestError


class ApiError(PalimpsestError):
    """An error with an HTTP status; subclasses are the common ones."""

    status = 400
    code = "invalid_value"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, param=param)
        self.reported_code = code or type(self).code
        self.headers = dict(headers or {})


class InvalidRequest(ApiError):
    """A field has a value that cannot be used."""


class Unauthorized(ApiError):
    """The request has no key, or one that is not in the keys file."""

    status = 401
    code = "invalid_api_key"


class Forbidden(ApiError):
    """The key is known, but may not do this."""

    status = 403
    code = "forbidden"


class NotFound(ApiError):
    """Error: nothing of this name exists that the key may see."""

    status = 404
    code = "not_found"


class Conflict(ApiError):
    """The state of the resource does not allow this."""

    status = 409
    code = "conflict"


class BodyTooLarge(ApiError):
    """The request's body is over the limit."""

    status = 413
    code = "body_too_large"


class RequestTimeout(ApiError):
    """The request did not arrive in time."""

    status = 408
    code = "request_timeout"


class UnsupportedMediaType(ApiError):
    """The body is in a form that is not read."""

    status = 415
    code = "unsupported_media_type"


class Unprocessable(ApiError):
    """An idempotency key was used again for another request."""

    status = 422
    code = "idempotency_key_reused"


class JobFailed(ApiError):
    """The job that the request waited for ended without a result; the code is the job's.

    `_STATUS_OF_JOB` and `_STATUS_OF_CODE` have the codes that are not the server's fault.
    """

    status = 500
    code = "job_failed"


class QueueFull(ApiError):
    """Too many jobs are waiting already."""

    status = 429
    code = "queue_full"


class RateLimited(ApiError):
    """The key has made as many requests as it may for now; `param` is the limit's name."""

    status = 429
    code = "rate_limit_exceeded"


class QuotaExceeded(ApiError):
    """The key has as much as it may have of something; `param` is the limit's name."""

    status = 429
    code = "quota_exceeded"


class ServerBusy(ApiError):
    """The server does too much of this already."""

    status = 503
    code = "server_busy"


class TooManyStreams(ApiError):
    """As many requests follow jobs as may."""

    status = 429
    code = "too_many_streams"


class NotReady(ApiError):
    """The storage or the model cannot be used, or not yet.

    Args:
        reason: What an operator needs to know; it may name paths, hosts and buckets. It is told to
            an admin only.
    """

    status = 503
    code = "not_ready"

    def __init__(self, message: str, *, reason: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.reason = reason


class StorageUnavailable(ApiError):
    """The disk or the database cannot be used just now; the usual message: nothing was changed."""

    status = 503
    code = "storage_unavailable"

    def __init__(
        self,
        message: str = (
            "The server's storage cannot be used just now. Nothing was changed; try again."
        ),
    ) -> None:
        super().__init__(message, headers={"Retry-After": "5"})


# Codes of the rooms below, which do not know HTTP.
_STATUS_OF_CODE = {
    **dict.fromkeys(("encoder_not_found", "alias_not_found", "report_not_found"), 404),
    **dict.fromkeys(("encoder_exists", "encoder_judged", "encoder_in_use"), 409),
    **dict.fromkeys(("encoder_not_calibrated", "member_unusable", "encoder_damaged"), 409),
    **dict.fromkeys(("encoder_failed_audit", "alias_exists", "deadline_exceeded"), 409),
    "video_deleted": 404,
    "encoder_invalid": 400,
    "load_failed": 503,
    "encoder_newer": 503,  # while a version replaces another, the next server may know it
    "storage_unavailable": 503,
    "signing_failed": 503,
}
# Codes that say something else of a job than of a request: it was accepted, so it had no fault.
_STATUS_OF_JOB = {"encoder_invalid": 409}
# Codes for answers of the framework, which have a status only.
_CODE_OF_STATUS = {
    400: "bad_request",
    405: "method_not_allowed",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    504: "timeout",
    **{
        error.status: error.code
        for error in (Unauthorized, Forbidden, NotFound, BodyTooLarge, NotReady)
    },
}
_TYPE_OF_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return the body of an error answer; without a code, one that follows from the status."""
    kind = _TYPE_OF_STATUS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = code or _CODE_OF_STATUS.get(status, "internal_error" if status >= 500 else "bad_request")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(error: PalimpsestError, *, to_operator: bool = False) -> JSONResponse:
    """Return the answer for an error that is meant for the caller; an operator gets its reason."""
    if isinstance(error, ApiError):
        code, headers = error.reported_code, error.headers
        of_job = _STATUS_OF_JOB if isinstance(error, JobFailed) else {}
        status = (_STATUS_OF_CODE | of_job).get(code, error.status)
    else:
        status, code, headers = _STATUS_OF_CODE.get(error.code, 400), error.code, {}
    if status == 401:
        headers = {"WWW-Authenticate": "Bearer", **headers}
    message = str(error)
    if to_operator and isinstance(error, NotReady):
        message = f"{message} {error.reason}".rstrip()
    body = error_body(status, message, param=error.param, code=code)
    return JSONResponse(body, status, headers)


def validation_error(errors: list[Any]) -> InvalidRequest:
    """Turn the first of pydantic's errors into one that names the field."""
    first = errors[0]
    places = [str(place) for place in first["loc"] if place not in ("body", "query", "path")]
    param = ".".join(places) or None
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"Unknown field {param!r}.", param=param, code="unknown_field")
    if first["type"] == "missing":
        return InvalidRequest(f"{param!r} is required.", param=param, code="missing_field")
    message = message.rstrip(".") + "."  # some of our own end in one
    return InvalidRequest(f"{param}: {message}" if param else message, param=param)
