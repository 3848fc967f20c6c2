"""Routes for BentoML's own clients: `/generate`, and its description at `/schema.json`.

`/generate` takes what `/v1/videos/sync` takes and obeys the same rules. It is a route of this app,
and none of BentoML's: BentoML's routes ignore unknown fields, convert types, and log bodies that
they cannot parse.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from server.api.examples import VIDEO_EXAMPLES
from server.api.file_answers import MEDIA_TYPES
from server.api.openapi import request_body
from server.api.request_models import VideoRequest
from server.api.videos import answer_with_video

router = APIRouter(tags=["videos"])


@router.post(
    "/generate",
    summary="Make a video and wait for it, for BentoML's clients",
    openapi_extra=request_body(VideoRequest, VIDEO_EXAMPLES),
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPES["video"]: {}}}},
)
async def generate(request: Request) -> Response:
    """Accept a job, wait for its end and answer with the mp4, as `/v1/videos/sync` does.

    A client that closes the connection cancels the video.
    """
    return await answer_with_video(request)


@router.get("/schema.json", summary="Describe `/generate` to BentoML's clients")
def get_schema() -> dict[str, Any]:
    """Return BentoML's description of the service: its one route, and that route's fields."""
    fields = VideoRequest.model_json_schema(by_alias=False)
    fields["properties"].pop("input_reference")  # refused: this model makes videos from text
    return {
        "name": "palimpsest",
        "type": "service",
        "routes": [
            {
                "name": "generate",
                "route": "/generate",
                "doc": "Make one video and return its mp4.",
                "batchable": False,
                "input": fields,
                "output": {
                    "type": "file",
                    "format": "video",
                    "content_type": MEDIA_TYPES["video"],
                    "media_type": MEDIA_TYPES["video"],
                },
                "is_task": False,
            }
        ],
    }
