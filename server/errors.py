"""Errors of the API, and their one shape: `{"error": {"message", "type", "param", "code"}}`.

Every answer of 400 or more has it, from routes, validation, router and unexpected exceptions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from encoders.errors import PalimpsestError
from server.outage import brief, is_outage

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)


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
    """The model is still loading, or could not be loaded."""

    status = 503
    code = "not_ready"


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


def error_response(error: PalimpsestError) -> JSONResponse:
    """Return the answer for an error that is meant for the caller."""
    if isinstance(error, ApiError):
        code, headers = error.reported_code, error.headers
        of_job = _STATUS_OF_JOB if isinstance(error, JobFailed) else {}
        status = (_STATUS_OF_CODE | of_job).get(code, error.status)
    else:
        status, code, headers = _STATUS_OF_CODE.get(error.code, 400), error.code, {}
    if status == 401:
        headers = {"WWW-Authenticate": "Bearer", **headers}
    body = error_body(status, str(error), param=error.param, code=code)
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


def wrong_method(request: Request) -> Response:
    """Return 405 with every method of the path in `Allow`; 204 with them for OPTIONS."""
    methods = {"OPTIONS"}
    for route in request.app.state.routes:
        if route.path_regex.match(request.scope["path"]):
            methods |= route.methods
    allow = {"Allow": ", ".join(sorted(methods))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    message = f"{request.method} {request.url.path}: Method Not Allowed; there is {allow['Allow']}."
    return JSONResponse(error_body(405, message), 405, allow)


def install(app: FastAPI) -> None:
    """Give `app` the handlers that put every error into the one shape."""
    # Not at the top: the process answers errors before it has imported FastAPI.
    from fastapi.exceptions import RequestValidationError
    from obstore.exceptions import BaseError
    from sqlalchemy.exc import SQLAlchemyError

    async def palimpsest(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, PalimpsestError)
        return error_response(error)

    async def validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return error_response(validation_error(list(error.errors())))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return wrong_method(request)
        message = f"{request.method} {request.url.path}: {error.detail}."
        return JSONResponse(
            error_body(error.status_code, message), error.status_code, error.headers
        )

    async def storage(request: Request, error: Exception) -> JSONResponse:
        if not is_outage(error):
            return await uncaught(request, error)
        log.warning("%s %s met an outage: %s", request.method, request.url.path, brief(error))
        return error_response(StorageUnavailable())

    async def uncaught(request: Request, error: Exception) -> JSONResponse:
        log.error("uncaught in %s %s", request.method, request.url.path, exc_info=error)
        return JSONResponse(error_body(500, "Something went wrong in the server."), 500)

    app.add_exception_handler(PalimpsestError, palimpsest)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    for kind in (OSError, SQLAlchemyError, BaseError):
        app.add_exception_handler(kind, storage)
    app.add_exception_handler(Exception, uncaught)
