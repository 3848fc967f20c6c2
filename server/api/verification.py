"""Route `/v1/verify`: where a file comes from, and whether it is as it left this server."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from server.api.file_origin import verified
from server.api.limits import COUNTED
from server.api.request_parsing import read_fields
from server.api.shared_work import SharedWork
from server.api.verification_models import Verification
from server.auth.guard import caller_of
from server.errors import InvalidRequest
from server.runtime import runtime_of

router = APIRouter(prefix="/v1/verify", tags=["verification"])

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.post(
    "",
    summary="Find out where a file comes from",
    openapi_extra=_FORM,
    dependencies=[COUNTED],
)
async def verify(request: Request) -> Verification:
    """Check the signature of a clip, a picture or a report's zip, and look for its record.

    What has lost its signature may still have the watermark. The file is read in processes of their
    own, within limits of time and memory, and is not kept.
    """
    runtime, caller = runtime_of(request), caller_of(request)
    data = await _content(await read_fields(request, max_files=1))
    work: SharedWork = request.app.state.verify_work
    key = (sha256(data).hexdigest(), caller.id)
    return await work.result(key, caller.id, partial(verified, runtime, caller, data))


async def _content(fields: dict[str, Any]) -> bytes:
    for name in fields:
        if name != "file":
            raise InvalidRequest(f"There is no field {name[:40]!r}: send `file`.", param=name[:40])
    upload = fields.get("file")
    if not isinstance(upload, UploadFile):
        raise InvalidRequest("Send the file as `file` of a multipart form.", param="file")
    return await upload.read()
