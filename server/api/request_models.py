"""Models of request bodies: the fields that clients send, with their ranges."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from encoders import EncoderId
from encoders.composite import MAX_MEMBERS
from server.api.request_fields import Line, Number, StrictRequest, Text
from server.auth.keys import BASE

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def _check_size(size: str) -> str:
    if not _SIZE.fullmatch(size):
        raise ValueError(f"{size[:40]!r} is not a size such as '512x512'")
    return size


def form_bool(value: Any) -> Any:
    """Return a form's or a document's truth value; a validator."""
    # A form has text only. Some generated clients write Python's words.
    word = value.lower() if isinstance(value, str) else value
    if isinstance(value, bool) or word in ("true", "false"):
        return word in (True, "true")
    raise ValueError("must be true or false")


def _free_id(name: str) -> str:
    if name == BASE:
        raise ValueError("'base' is the unmodified encoder's name")
    return name


NewId = Annotated[
    EncoderId,
    AfterValidator(_free_id),
    WithJsonSchema({"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,62}$"}),
]
"""Id of a new encoder or alias: any encoder id but "base"."""


class VideoRequest(StrictRequest):
    """Body of `POST /v1/videos`, as JSON or a form. Omitted fields take the model's values."""

    prompt: Text
    model: str | None = Field(
        None,
        description="`starter`, or `starter:<encoder or alias>`; `starter:<one>+<other>` for a set",
    )
    encoder: str | None = Field(None, description="An encoder's id, an alias, or `base`")
    encoders: list[Line] = Field(
        [],
        max_length=MAX_MEMBERS,
        description="Ids or aliases of a set of encoders, where the server takes sets",
    )
    negative_prompt: Line = ""
    seed: Annotated[int | None, Number] = Field(None, ge=0, le=2**63 - 1)
    steps: Annotated[int | None, Number] = Field(
        None, ge=1, validation_alias=AliasChoices("steps", "num_inference_steps")
    )
    guidance: Annotated[float | None, Number] = Field(
        None, ge=0, le=30, validation_alias=AliasChoices("guidance", "guidance_scale")
    )
    frames: Annotated[int | None, Number] = Field(
        None, ge=1, validation_alias=AliasChoices("frames", "num_frames")
    )
    fps: Annotated[int | None, Number] = Field(None, ge=1, le=60)
    seconds: Annotated[float | None, Number] = Field(
        None, gt=0, le=3600, description="seconds × fps = frames"
    )
    size: Annotated[str, AfterValidator(_check_size)] | None = Field(
        None, description="Delivered size, `<width>x<height>`"
    )
    width: Annotated[int | None, Number] = Field(None, ge=1, description="`size`, in two fields")
    height: Annotated[int | None, Number] = Field(None, ge=1)
    expires_after: Annotated[int | None, Number] = Field(
        None, ge=1, description="Seconds from the video's end to its removal"
    )
    deadline_after: Annotated[int | None, Number] = Field(
        None,
        ge=1,
        le=7 * 86_400,
        description="Seconds within which the video must be made, or it fails",
    )
    truncate: Annotated[bool, BeforeValidator(form_bool)] = Field(
        False,
        description="Cut a prompt that is longer than the model reads, in place of refusing it; "
        "the video's `truncated` tells",
    )
    user: str | None = Field(
        None, max_length=256, description="Your own name for the user; not used here"
    )
    input_reference: Any = Field(None, description="Not supported; refused")

    @model_validator(mode="after")
    def _one_size(self) -> VideoRequest:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together, or give size")
        if self.size is not None and self.width is not None:
            raise ValueError("give size, or width and height, not both")
        return self

    def pixels(self) -> tuple[int, int] | None:
        """Return width and height in pixels; None if no size was given."""
        if self.width is not None and self.height is not None:
            return self.width, self.height
        match = _SIZE.fullmatch(self.size or "")
        return (int(match[1]), int(match[2])) if match else None


class AliasRequest(StrictRequest):
    """Body of `PUT /v1/aliases/{name}`."""

    encoder: EncoderId
