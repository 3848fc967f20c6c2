"""Routes of `/v1/encoders/{encoder_id}/report`: the evidence for a decision about an encoder.

A key that may use the encoder may read its report. To any other key both look absent (404). A key
that may not use the base sees the encoder's clips only; one that may not use the parent, no id of
it (`server.api.visibility`).
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from encoders import ReportNotFound
from server.api.encoders import VisibleEncoder
from server.api.report_view import Format, ReportScope, ReportView
from server.api.shared_work import SharedWork
from server.api.visibility import visibility_of
from server.auth.guard import caller_of
from server.errors import Conflict
from server.runtime import runtime_of
from server.storage.records import FAILED, PUBLISHED, EncoderRecord
from unlearn.report.model import Report
from unlearn.report.page import CSP

router = APIRouter(prefix="/v1/encoders/{encoder_id}/report", tags=["encoders"])

_FILE_TYPES = {".mp4": "video/mp4", ".png": "image/png"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Report,
        "content": {"text/html": {"schema": {"type": "string"}}, "application/zip": _BINARY},
    }
}


class _View(NamedTuple):
    """An encoder's report as the caller may see it."""

    encoder_id: str
    digest: str
    scope: ReportScope
    report: ReportView

    async def form(self, request: Request, form: Format) -> bytes:
        """Return the page, the JSON or the zip; one that has to be made is made once for all."""
        stored = await run_in_threadpool(self.report.stored, form)
        if stored is not None:
            return stored
        work: SharedWork = request.app.state.report_work
        key = (self.encoder_id, self.digest, self.scope, form)
        return await work.result(key, caller_of(request).id, partial(self.report.made, form))


def _view(request: Request, encoder: VisibleEncoder) -> _View:
    """Return the encoder's report as the caller may see it.

    Raises:
        Conflict: The encoder is being made, or could not be made.
    """
    if encoder.status != PUBLISHED:
        code = "encoder_failed" if encoder.status == FAILED else "encoder_not_ready"
        raise Conflict(
            f"Encoder {encoder.id} is {encoder.status}, and has no report"
            + (f": {encoder.error.message}" if encoder.error else " yet."),
            code=code,
            headers={"x-should-retry": "false"},
        )
    runtime = runtime_of(request)
    visibility = visibility_of(runtime, caller_of(request))
    # `encoder` has its parent's id only if the caller may learn it.
    scope = ReportScope(visibility.sees_all, visibility.sees_base, encoder.parent)
    signing_key = runtime.storage.signing_keys.active
    record = runtime.records.get(
        EncoderRecord, EncoderRecord.id == encoder.id, EncoderRecord.status == PUBLISHED
    )
    publication = None if record is None else record.publication
    view = ReportView(runtime.encoders, encoder.id, scope, signing_key, publication)
    return _View(encoder.id, encoder.digest or "", scope, view)


VisibleReport = Annotated[_View, Depends(_view)]


@router.head("", include_in_schema=False)
@router.get("", summary="Read an encoder's report", response_class=Response, responses=_DOCUMENTED)
async def get_report(request: Request, view: VisibleReport, format: Format = "html") -> Response:
    """Return the report as one HTML page that loads nothing else; as JSON for `format=json`.

    `format=zip` is a page with its clips and stills beside it, and all data: to be passed on.

    Every encoder made here has a report; an imported one has none until it is judged.
    """
    data = await view.form(request, format)
    kind, headers = "text/html; charset=utf-8", {"Content-Security-Policy": CSP}
    if format == "html":
        headers["Referrer-Policy"] = "no-referrer"
    elif format == "json":
        kind, headers = "application/json", {}
    else:
        name = f"{view.encoder_id}-report.zip"
        kind = "application/zip"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return await run_in_threadpool(_answer, request, data, kind, headers)


@router.head("/{file}", include_in_schema=False)
@router.get(
    "/{file}",
    summary="Download a clip or still of a report",
    response_class=Response,
    responses={200: {"content": dict.fromkeys(_FILE_TYPES.values(), _BINARY)}},
)
def get_report_file(request: Request, view: VisibleReport, file: str) -> Response:
    """Return one of the files that the report names."""
    kind = _FILE_TYPES.get(PurePosixPath(file).suffix)
    if kind is None:
        raise ReportNotFound(
            f"A report's files are named *.mp4 and *.png, not {file[:80]!r}.", param="file"
        )
    headers = {"Content-Disposition": f'attachment; filename="{view.encoder_id}-{file}"'}
    return _answer(request, view.report.file(file), kind, headers)


def _answer(request: Request, data: bytes, kind: str, headers: dict[str, str]) -> Response:
    """Return a file of a report, or 304 if the client has it.

    A report hardly ever changes, but an encoder can be deleted and another be made under its id. So
    clients may keep the file but must revalidate it by its ETag.
    """
    tag = f'"{sha256(data).hexdigest()}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        **headers,
    }
    known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
    if {tag, "*"} & {one.strip() for one in known}:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=kind)
