"""Route of `/v1/videos/{video_id}/content`: the files of a finished video."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.api.file_answers import MEDIA_TYPES, video_file
from server.api.videos import OwnVideo
from server.api.visibility import visibility_of
from server.auth.guard import caller_of
from server.errors import Conflict
from server.runtime import runtime_of
from server.storage.records import COMPLETED
from server.storage.video_files import Variant

router = APIRouter(prefix="/v1/videos", tags=["videos"])

Download = Annotated[bool, Query(description="Let a browser save the file, not show it")]


@router.get(
    "/{video_id}/content",
    summary="Download a video",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in set(MEDIA_TYPES.values())}}},
)
def get_video_content(
    request: Request, record: OwnVideo, variant: Variant = "video", download: Download = False
) -> Response:
    """Return the mp4, a thumbnail or a sheet of all frames. Range requests are served.

    A clip never changes: clients may keep it until it expires, and get 304 for its ETag. A server
    can be set up to redirect to the store of its files (307).
    """
    if record.status != COMPLETED:
        # A retry by the client's library would not help: the client has to poll the status.
        error = visibility_of(runtime_of(request), caller_of(request)).video_error(record)
        raise Conflict(
            f"Video {record.id} is {record.status}"
            + (f": {error.message}" if error is not None else ", not completed yet."),
            code="video_failed" if error is not None else "video_not_ready",
            headers={"x-should-retry": "false"},
        )
    runtime = runtime_of(request)
    return video_file(
        request,
        runtime.files,
        record,
        variant,
        download=download,
        redirect=runtime.settings.store_redirect,
    )
