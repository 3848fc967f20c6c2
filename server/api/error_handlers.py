"""Handlers that put every error of a request into the API's one shape (`server.errors`)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from obstore.exceptions import BaseError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from encoders.errors import PalimpsestError
from server.auth.guard import is_operator
from server.errors import StorageUnavailable, error_body, error_response, validation_error
from server.outage import brief, is_outage

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Give `app` the handlers of routes', validation's, the router's and unexpected exceptions."""
    app.add_exception_handler(PalimpsestError, _palimpsest)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for kind in (OSError, SQLAlchemyError, BaseError):
        app.add_exception_handler(kind, _storage)
    app.add_exception_handler(Exception, _uncaught)


async def _palimpsest(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PalimpsestError)
    return error_response(error, to_operator=is_operator(request))


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(validation_error(list(error.errors())))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _wrong_method(request)
    message = f"{request.method} {request.url.path}: {error.detail}."
    return JSONResponse(error_body(error.status_code, message), error.status_code, error.headers)


async def _storage(request: Request, error: Exception) -> JSONResponse:
    if not is_outage(error):
        return await _uncaught(request, error)
    log.warning("%s %s met an outage: %s", request.method, request.url.path, brief(error))
    return error_response(StorageUnavailable())


async def _uncaught(request: Request, error: Exception) -> JSONResponse:
    log.error("uncaught in %s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse(error_body(500, "Something went wrong in the server."), 500)


def _wrong_method(request: Request) -> Response:
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
