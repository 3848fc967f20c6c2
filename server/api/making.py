"""Routes that show an encoder being made: stills on its way, and what spoke against it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Request, Response

from server.api.encoders import VisibleEncoder
from server.api.visibility import visibility_of
from server.auth.guard import caller_of
from server.errors import NotFound
from server.jobs.workspace import Workspace
from server.runtime import runtime_of
from server.storage.records import PUBLISHED, EncoderRecord
from unlearn.report.model import FAILURE_JSON, Failure

router = APIRouter(prefix="/v1/encoders/{encoder_id}", tags=["encoders"])

_FILE_TYPES = {".mp4": "video/mp4", ".png": "image/png"}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}


class _Making(NamedTuple):
    """A job that makes an encoder, or has failed to, as far as the caller may see it."""

    workspace: Workspace
    sees_base: bool


def _making(request: Request, encoder: VisibleEncoder) -> _Making:
    """Return the job of an encoder that is not published. Raise NotFound if there is none."""
    runtime = runtime_of(request)
    record = runtime.records.get(
        EncoderRecord, EncoderRecord.id == encoder.id, EncoderRecord.status != PUBLISHED
    )
    if record is None or record.judges is not None:
        raise NotFound(f"Encoder {encoder.id!r} is not being made.", param="encoder_id")
    sees_base = visibility_of(runtime, caller_of(request)).sees_base
    return _Making(runtime.jobs.made_so_far(record), sees_base)


Making = Annotated[_Making, Depends(_making)]


@router.get(
    "/previews/{step}",
    summary="Look at an encoder that is being made",
    response_class=Response,
    responses={200: {"content": {"image/webp": _BINARY}}},
)
def get_preview(making: Making, step: int) -> Response:
    """Return the still that the encoder drew after this step: one of `training.previews`.

    All are of the same prompt and seed. They are gone once the job has ended.
    """
    picture = making.workspace.load_preview(step) if making.sees_base else None
    if picture is None:
        raise NotFound(f"There is no preview of step {step}.", param="step")
    return Response(picture, headers=_HEADERS, media_type="image/webp")


@router.get("/failure", summary="Look at the pairs that failed an encoder")
def get_failure(making: Making) -> Failure:
    """Return pairs that count against an encoder which did not pass its gate; at most six.

    If none does, as where the base does not draw the concept either, the first pairs are returned.
    """
    stored = making.workspace.load_failure(FAILURE_JSON)
    if stored is None:
        raise NotFound(
            "Nothing speaks against the encoder: it was not judged, or is being judged.",
            param="encoder_id",
        )
    failure = Failure.model_validate_json(stored)
    if making.sees_base:
        return failure
    hidden = [pair.model_copy(update={"base_file": None}) for pair in failure.pairs]
    return Failure(pairs=hidden)


@router.get(
    "/failure/{file}",
    summary="Download a clip or still of a pair that failed an encoder",
    response_class=Response,
    responses={200: {"content": dict.fromkeys(_FILE_TYPES.values(), _BINARY)}},
)
def get_failure_file(making: Making, file: str) -> Response:
    """Return one of the files that the pairs name."""
    named = {
        name
        for pair in get_failure(making).pairs
        for name in (pair.base_file, pair.encoder_file)
        if name
    }
    content = making.workspace.load_failure(file) if file in named else None
    if content is None:
        raise NotFound(f"No pair has a file {file[:80]!r}.", param="file")
    kind = _FILE_TYPES[PurePosixPath(file).suffix]
    return Response(content, headers=_HEADERS, media_type=kind)
