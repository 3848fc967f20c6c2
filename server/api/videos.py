"""``/v1/videos``: OpenAI's video API, with encoders."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from server.api.events import CallerGone, changes, events, while_heard
from server.api.request_parsing import check, idempotency_key, read_fields, request_hash
from server.api.schemas import Deleted, Page, Video, VideoError, VideoRequest, page_of
from server.api.video_parameters import parameters_of
from server.auth.access import choose
from server.auth.guard import caller_of
from server.auth.keys import Caller
from server.errors import Conflict, InvalidRequest, JobFailed, NotFound
from server.runtime import Runtime, runtime_of
from server.storage.records import COMPLETED, FAILED, PENDING, VideoRecord
from server.storage.video_files import Variant

router = APIRouter(prefix="/v1/videos", tags=["videos"])

POLL_AFTER_MS = 500
"""How long OpenAI's client waits between two looks at a job."""
CLIENT_CLOSED_REQUEST = 499
"""For the log and the metrics (nginx's code): nobody is there to read it."""

_MEDIA_TYPES: Mapping[Variant, str] = {
    "video": "video/mp4",
    "thumbnail": "image/webp",
    "spritesheet": "image/webp",
}


def accept(runtime: Runtime, caller: Caller, request: VideoRequest, key: str | None) -> VideoRecord:
    """Check a request, record it and start its job: the only way to a video, for every route.

    Args:
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
    loaded = runtime.loaded
    for param, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt)):
        if len(text) > runtime.settings.max_prompt_chars:
            raise InvalidRequest(
                f"{param} has {len(text)} characters; at most "
                f"{runtime.settings.max_prompt_chars} are taken.",
                param=param,
            )
        tokens, most = (
            loaded.backbone.prompt_tokens(text),
            loaded.backbone.capabilities.prompt_tokens,
        )
        if tokens > most:
            raise InvalidRequest(
                f"{param} is {tokens} tokens long, start and end included; this model reads {most} "
                "and would ignore the rest.",
                param=param,
            )
    most_seconds = runtime.settings.max_video_lifetime_seconds
    if request.expires_after is not None and request.expires_after > most_seconds:
        raise InvalidRequest(
            f"expires_after is {request.expires_after}; videos are kept {most_seconds} seconds at "
            "most.",
            param="expires_after",
        )
    shape = parameters_of(request, loaded.backbone.capabilities, runtime.settings)
    choice = choose(caller, loaded.store, loaded.backbone, request.model, request.encoder)
    root = loaded.backbone.name
    record = runtime.records.accept(
        VideoRecord(
            id=f"video_{uuid.uuid4().hex}",
            owner=caller.id,
            idempotency_key=key,
            request_hash=digest,
            model=f"{root}:{choice.encoder_id}" if choice.encoder_id else root,
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            encoder_id=choice.encoder_id,
            encoder_digest=choice.digest,
            seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
            steps=shape.steps,
            guidance=shape.guidance,
            frames=shape.frames,
            fps=shape.fps,
            width=shape.width,
            height=shape.height,
            deadline=request.deadline_after and int(time.time()) + request.deadline_after,
            lifetime=request.expires_after or runtime.settings.video_lifetime_seconds,
        ),
        limit=runtime.settings.max_queued_videos,
    )
    runtime.jobs.submit(record)
    return record


async def finished(runtime: Runtime, record: VideoRecord) -> VideoRecord:
    """The video once it is completed. Cancelling this deletes it.

    Raises:
        JobFailed: it was not made, or it was deleted.
    """

    def look() -> Video:
        nonlocal record
        now = runtime.records.get(VideoRecord, VideoRecord.id == record.id)
        if now is None:
            raise JobFailed(f"Video {record.id} was deleted.", code="video_deleted")
        record = now
        return video_object(record)

    try:
        async for _ in changes(runtime.records.notifier, record.id, look):
            pass
    except asyncio.CancelledError:
        runtime.jobs.remove(record)
        raise
    if record.status == FAILED:
        message = f"Video {record.id} failed: {record.error_message}"
        raise JobFailed(message, code=record.error_code)
    return record


def video_object(record: VideoRecord) -> Video:
    """The record as a client sees it."""
    error = None
    if record.status == FAILED:
        error = VideoError(code=record.error_code or "", message=record.error_message or "")
    return Video.model_validate(
        {
            "id": record.id,
            "model": record.model,
            "status": record.status,
            "progress": record.progress,
            "created_at": record.created_at,
            "completed_at": record.completed_at,
            "expires_at": record.expires_at,
            "prompt": record.prompt,
            "seconds": f"{record.frames / record.fps:g}",
            "size": f"{record.width}x{record.height}",
            "error": error,
        }
    )


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": VideoRequest.model_json_schema(by_alias=False)}
            for kind in ("application/json", "multipart/form-data")
        },
    }
}


@router.post("", summary="Make a video", openapi_extra=_BODY)
async def create_video(request: Request, response: Response) -> Video:
    """Accepts a job and answers at once, with status `queued`."""
    record = await _accepted(request)
    response.headers["openai-poll-after-ms"] = str(POLL_AFTER_MS)
    return video_object(record)


@router.post(
    "/sync",
    summary="Make a video and wait for it",
    openapi_extra=_BODY,
    response_class=FileResponse,
    responses={200: {"content": {_MEDIA_TYPES["video"]: {}}}},
)
async def create_video_and_wait(request: Request) -> Response:
    """The same, but the answer is the mp4. Its headers say which video it is (`x-video-id`), its
    `x-model`, and how long it took from its first step on, `x-inference-time-s`. Whoever closes the
    connection cancels the video.
    """
    runtime = runtime_of(request)
    try:
        record = await while_heard(request, finished(runtime, await _accepted(request)))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return FileResponse(
        runtime.files.path(record.id, "video"),
        media_type=_MEDIA_TYPES["video"],
        filename=f"{record.id}.mp4",
        headers={
            "x-video-id": record.id,
            "x-model": record.model,
            "x-inference-time-s": f"{record.inference_seconds:.3f}",
        },
    )


async def _accepted(request: Request) -> VideoRecord:
    fields = await read_fields(request, max_files=1)
    checked = check(VideoRequest, fields)
    return await run_in_threadpool(
        accept, runtime_of(request), caller_of(request), checked, idempotency_key(request)
    )


def own_video(request: Request, video_id: str) -> VideoRecord:
    """The caller's video of that id. Raises NotFound, for another's too."""
    record = runtime_of(request).records.get(
        VideoRecord, VideoRecord.id == video_id, VideoRecord.owner == caller_of(request).id
    )
    if record is None:
        raise NotFound(f"There is no video {video_id[:80]!r}.", param="video_id")
    return record


OwnVideo = Annotated[VideoRecord, Depends(own_video)]


@router.get("", summary="List videos")
def list_videos(
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Page[Video]:
    """The caller's videos, newest first; `after` is the last id of the page before."""
    page = runtime_of(request).records.page(
        VideoRecord,
        caller_of(request).id,
        after=after,
        limit=limit,
        descending=order == "desc",
    )
    if page is None:
        raise NotFound(f"There is no video {(after or '')[:80]!r}.", param="after")
    records, has_more = page
    return Page[Video](**page_of([video_object(record) for record in records], has_more=has_more))


@router.get("/{video_id}", summary="Look at a video")
def get_video(record: OwnVideo, response: Response) -> Video:
    """Status and progress. A failed job is an answer too, with its reason in `error`."""
    if record.status in PENDING:
        response.headers["openai-poll-after-ms"] = str(POLL_AFTER_MS)
    return video_object(record)


@router.get("/{video_id}/events", summary="Follow a video", response_class=EventSourceResponse)
async def follow_video(request: Request, record: OwnVideo) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events, named by the status, with the video as it is: at once, and then whenever
    it has come further, until it has ended. `deleted` is the last one of a video that was.
    """
    notifier, video = runtime_of(request).records.notifier, record.id
    async for event in events(notifier, video, lambda: video_object(own_video(request, video))):
        yield event


@router.delete("/{video_id}", summary="Delete a video, or cancel it")
def delete_video(request: Request, record: OwnVideo) -> Deleted:
    """Removes it for good; one that is being made stops within a step."""
    runtime_of(request).jobs.remove(record)
    return Deleted(id=record.id, object="video.deleted")


@router.head("/{video_id}/content", include_in_schema=False)
@router.get(
    "/{video_id}/content",
    summary="Download a video",
    response_class=FileResponse,
    responses={200: {"content": {kind: {} for kind in set(_MEDIA_TYPES.values())}}},
)
def get_content(request: Request, record: OwnVideo, variant: Variant = "video") -> FileResponse:
    """The mp4, a thumbnail or a sheet of all frames. Understands Range."""
    if record.status != COMPLETED:
        # The client's own retries would not help: it has to look at the status.
        code = "video_failed" if record.status == FAILED else "video_not_ready"
        raise Conflict(
            f"Video {record.id} is {record.status}"
            + (f": {record.error_message}" if record.status == FAILED else ", not completed yet."),
            code=code,
            headers={"x-should-retry": "false"},
        )
    path = runtime_of(request).files.path(record.id, variant)
    if not path.is_file():
        raise NotFound(f"The files of video {record.id} are gone.", code="content_gone")
    return FileResponse(
        path, media_type=_MEDIA_TYPES[variant], filename=f"{record.id}{path.suffix}"
    )
