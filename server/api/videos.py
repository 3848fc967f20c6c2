"""Routes of `/v1/videos`: OpenAI's video API, with encoders."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from server.api.events import CallerGone, cancelled_with_caller, events, following, place_of
from server.api.examples import VIDEO_EXAMPLES
from server.api.file_answers import MEDIA_TYPES, video_file
from server.api.job_answers import advise_polling
from server.api.limits import COUNTED, accept_within_limits, write
from server.api.openapi import request_body
from server.api.request_models import VideoRequest
from server.api.request_parsing import (
    check,
    idempotency_key,
    read_fields,
    request_hash,
    text_lists,
)
from server.api.response_models import Deleted, Page, Video
from server.api.unfinished import explained
from server.api.video_parameters import parameters_of
from server.api.visibility import Visibility, visibility_of
from server.api.waiting import errors_of_accepted, finished
from server.auth.access import choose, encoders_named
from server.auth.guard import caller_of
from server.auth.keys import Caller
from server.errors import InvalidRequest, NotFound
from server.runtime import Runtime, runtime_of
from server.storage.records import PENDING, VideoRecord, stored_refs

router = APIRouter(prefix="/v1/videos", tags=["videos"])

_CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a closed connection. It reaches the log and the metrics, but no client."""


def accept(runtime: Runtime, caller: Caller, request: VideoRequest, key: str | None) -> VideoRecord:
    """Check a request and record it, which starts its job. Every route makes videos through this.

    Args:
        runtime: the server that will make the video.
        caller: the sender of the request, who will own the video.
        request: the checked body.
        key: the request's Idempotency-Key; the same key and request give the same video.

    Raises:
        PalimpsestError: the request cannot be met, or its caller may not make it.
    """
    if request.input_reference is not None:
        raise InvalidRequest(
            "input_reference is not supported: this model makes videos from text only.",
            param="input_reference",
            code="unsupported_parameter",
        )
    digest = request_hash(request)
    earlier = runtime.records.repeated(VideoRecord, caller.id, key, digest)
    if earlier is not None:
        return earlier
    store, model = runtime.encoders, runtime.model
    parameters = parameters_of(request, model, runtime.settings)
    most_seconds = runtime.settings.max_video_lifetime_seconds
    if request.expires_after is not None and request.expires_after > most_seconds:
        raise InvalidRequest(
            f"expires_after is {request.expires_after}; videos are kept {most_seconds} seconds at "
            "most.",
            param="expires_after",
        )
    named, param = encoders_named(model.name, request.model, request.encoder, request.encoders)
    with explained(runtime, caller, *(named or [caller.default_encoder])):
        encoder = choose(
            caller,
            store,
            runtime.aliases,
            model,
            named,
            param=param,
            ad_hoc_sets=runtime.settings.ad_hoc_sets,
        )
        runtime.storage.audits.require(encoder, store.card, param=param)
    return accept_within_limits(
        runtime,
        caller,
        VideoRecord(
            id=f"video_{uuid.uuid4().hex}",
            owner=caller.id,
            idempotency_key=key,
            request_hash=digest,
            model=f"{model.name}:{encoder.id}" if encoder else model.name,
            encoder_id=encoder.id if encoder else None,
            encoder_identity=encoder.identity if encoder else None,
            encoder_members=stored_refs(encoder.members) if encoder and encoder.members else None,
            deadline=request.deadline_after and int(time.time()) + request.deadline_after,
            lifetime=request.expires_after or runtime.settings.video_lifetime_seconds,
            **asdict(parameters),
        ),
    )


def video_object(record: VideoRecord, visibility: Visibility) -> Video:
    """Return the record as a client sees it."""
    return Video.model_validate(
        {
            "id": record.id,
            "model": record.model,
            "status": record.status,
            "progress": record.progress,
            "created_at": record.created_at,
            "completed_at": record.completed_at,
            "expires_at": record.expires_at,
            "prompt": record.prompt or None,  # None: it was not to be kept any longer
            "negative_prompt": record.negative_prompt or None,
            "seed": record.seed,
            "steps": record.steps,
            "guidance": record.guidance,
            "frames": record.frames,
            "fps": record.fps,
            "seconds": f"{record.frames / record.fps:g}",
            "size": f"{record.width}x{record.height}",
            "truncated": bool(record.is_cut),
            "unjudged": bool(record.encoder_members),
            "error": visibility.video_error(record),
        }
    )


@router.post("", summary="Make a video", openapi_extra=request_body(VideoRequest, VIDEO_EXAMPLES))
async def create_video(request: Request, response: Response) -> Video:
    """Accept a job and answer at once, with status `queued`."""
    record = await _accepted(request)
    advise_polling(response)
    return video_object(record, _visibility(request))


@router.post(
    "/sync",
    summary="Make a video and wait for it",
    openapi_extra=request_body(VideoRequest, VIDEO_EXAMPLES),
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPES["video"]: {}}}},
)
async def create_video_and_wait(request: Request) -> Response:
    """Accept a job, wait for its end and answer with the mp4.

    The headers are `x-video-id`, `x-model` and `x-inference-time-s`, the seconds from the video's
    first step to its frames. A client that closes the connection cancels the video.
    """
    return await answer_with_video(request)


async def answer_with_video(request: Request) -> Response:
    """Make the video that the body asks for, and answer with its mp4.

    Raises:
        PalimpsestError: the request was refused, or the video failed or was deleted.
    """
    runtime = runtime_of(request)
    with place_of(request):
        accepted = await _accepted(request)
        try:
            with errors_of_accepted(accepted):
                record = await cancelled_with_caller(request, finished(runtime, accepted, request))
        except CallerGone:
            return Response(status_code=_CLIENT_CLOSED_REQUEST)
    headers = {
        "x-video-id": record.id,
        "x-model": record.model,
        "x-inference-time-s": f"{record.inference_seconds:.3f}",
    }
    with errors_of_accepted(record):
        return await run_in_threadpool(video_file, request, runtime.files, record, headers=headers)


async def _accepted(request: Request) -> VideoRecord:
    fields = await read_fields(request, max_files=1)
    text_lists(fields, "encoders")
    checked = check(VideoRequest, fields)
    return await write(
        request,
        accept,
        runtime_of(request),
        caller_of(request),
        checked,
        idempotency_key(request),
    )


def own_video(request: Request, video_id: str) -> VideoRecord:
    """Return the caller's video with this id. Raise NotFound for any other id."""
    record = runtime_of(request).records.get(
        VideoRecord, VideoRecord.id == video_id, VideoRecord.owner == caller_of(request).id
    )
    if record is None:
        raise NotFound(f"There is no video {video_id[:80]!r}.", param="video_id")
    return record


def visible_video(request: Request, video_id: str) -> Video:
    """Return the caller's video with this id as the caller sees it, or raise NotFound."""
    return video_object(own_video(request, video_id), _visibility(request))


OwnVideo = Annotated[VideoRecord, Depends(own_video)]


@router.get("", summary="List videos")
def list_videos(
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Page[Video]:
    """List the caller's videos, newest first; `after` is the last id of the previous page."""
    found = runtime_of(request).records.page(
        VideoRecord,
        caller_of(request).id,
        after=after,
        limit=limit,
        descending=order == "desc",
    )
    if found is None:
        raise NotFound(f"There is no video {(after or '')[:80]!r}.", param="after")
    records, has_more = found
    visibility = _visibility(request)
    page = [video_object(record, visibility) for record in records]
    return Page[Video].of(page, has_more=has_more)


@router.get("/{video_id}", summary="Look at a video")
def get_video(request: Request, record: OwnVideo, response: Response) -> Video:
    """Return status and progress; for a failed job, the reason in `error`."""
    if record.status in PENDING:
        advise_polling(response)
    return video_object(record, _visibility(request))


@router.get(
    "/{video_id}/events",
    summary="Follow a video",
    response_class=EventSourceResponse,
    dependencies=[Depends(following)],
)
async def follow_video(request: Request, record: OwnVideo) -> AsyncIterator[ServerSentEvent]:
    """Send the video as a server-sent event at once, and after every change until its end.

    An event's name is the video's status. For a video that is deleted the last one is `deleted`,
    for a key that is revoked or expires `unauthorized`.
    """
    if request.method == "HEAD":
        return  # the headers are the answer
    video = record.id
    async for event in events(request, video, partial(visible_video, request, video)):
        yield event


@router.delete("/{video_id}", summary="Delete a video, or cancel it", dependencies=[COUNTED])
async def delete_video(request: Request, record: OwnVideo) -> Deleted:
    """Remove the video for good. One that is being made stops within a step."""
    await write(request, runtime_of(request).jobs.remove, record)
    return Deleted(id=record.id, object="video.deleted")


def _visibility(request: Request) -> Visibility:
    return visibility_of(runtime_of(request), caller_of(request))
