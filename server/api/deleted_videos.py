"""Routes of `/v1/deleted-videos`: records of deleted videos, for an admin's key."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from server.api.response_models import DeletedVideo, Page
from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.errors import NotFound
from server.runtime import runtime_of
from server.storage.deleted_video_rows import DeletedVideoRow

router = APIRouter(prefix="/v1/deleted-videos", tags=["videos"])

Owner = Annotated[str | None, Query(max_length=63, description="Id of a key", examples=["studio"])]


@router.get("", summary="List deleted videos (an admin's key)")
def list_deleted_videos(
    request: Request,
    owner: Owner = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Page[DeletedVideo]:
    """List the records of deleted videos, of all keys or of `owner`; the last deleted first.

    `after` is the last id of the previous page.
    """
    require_admin(caller_of(request))
    found = runtime_of(request).storage.deleted_videos.page(
        owner, after=after, limit=limit, descending=order == "desc"
    )
    if found is None:
        raise NotFound(f"There is no deleted video {(after or '')[:80]!r}.", param="after")
    rows, has_more = found
    return Page[DeletedVideo].of([_object(row) for row in rows], has_more=has_more)


@router.get("/{video_id}", summary="Look at a deleted video (an admin's key)")
def get_deleted_video(request: Request, video_id: str) -> DeletedVideo:
    """Return the record of a deleted video: its key, its encoder and its settings.

    Records are kept for the time that the server's settings say, which may be none.
    """
    require_admin(caller_of(request))
    runtime = runtime_of(request)
    row = runtime.storage.deleted_videos.get(video_id)
    if row is None:
        seconds = runtime.settings.deleted_record_retention_seconds
        kept = f"they are kept {seconds} seconds" if seconds else "this server keeps none"
        raise NotFound(
            f"There is no record of a deleted video {video_id[:80]!r}: {kept} "
            "(PALIMPSEST_DELETED_RECORD_RETENTION_SECONDS).",
            param="video_id",
        )
    return _object(row)


def _object(row: DeletedVideoRow) -> DeletedVideo:
    return DeletedVideo.model_validate(
        {
            "id": row.id,
            "owner": row.owner,
            "model": row.model,
            "encoder": row.encoder_id,
            "encoder_identity": row.encoder_identity,
            "seed": row.seed,
            "steps": row.steps,
            "guidance": row.guidance,
            "frames": row.frames,
            "fps": row.fps,
            "seconds": f"{row.frames / row.fps:g}",
            "size": f"{row.width}x{row.height}",
            "status": row.status,
            "created_at": row.created_at,
            "completed_at": row.completed_at,
            "deleted_at": row.deleted_at,
        }
    )
