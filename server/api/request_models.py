"""Models of request bodies: the fields that clients send, with their ranges."""

from __future__ import annotations

import re
import secrets
import time
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    RootModel,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from encoders import Concept, EncoderId, Kind
from encoders.composite import MAX_MEMBERS
from marking.claim import Claim
from server.auth.keys import BASE
from server.errors import InvalidRequest
from server.settings import Probes, Rate
from unlearn.settings import UnlearnSettings

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def _check_characters(text: str) -> str:
    if "\0" in text:  # databases cannot store it
        raise ValueError("must not contain the character NUL")
    return text


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


def _check_size(size: str) -> str:
    if not _SIZE.fullmatch(size):
        raise ValueError(f"{size[:40]!r} is not a size such as '512x512'")
    return size


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _form_bool(value: Any) -> Any:
    # A form has text only. Some generated clients write Python's words.
    word = value.lower() if isinstance(value, str) else value
    if isinstance(value, bool) or word in ("true", "false"):
        return word in (True, "true")
    raise ValueError("must be true or false")


def _form_bool_or_null(value: Any) -> Any:
    return None if value is None else _form_bool(value)


def _free_id(name: str) -> str:
    if name == BASE:
        raise ValueError("'base' is the unmodified encoder's name")
    return name


Line = Annotated[str, AfterValidator(_check_characters)]
Text = Annotated[Line, AfterValidator(_check_text)]
Number = BeforeValidator(_refuse_bool)
NewId = Annotated[
    EncoderId,
    AfterValidator(_free_id),
    WithJsonSchema({"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,62}$"}),
]
"""Id of a new encoder or alias: any encoder id but "base"."""


class _Request(BaseModel):
    """Base of request bodies. Unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class VideoRequest(_Request):
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
    truncate: Annotated[bool, BeforeValidator(_form_bool)] = Field(
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


Phrase = Annotated[Text, Field(max_length=100)]


class ConceptRequest(_Request):
    """One concept to forget."""

    concept: Phrase
    kind: Kind
    synonyms: list[Phrase] = Field([], max_length=16)


class GateRequest(_Request):
    """Thresholds that an encoder must reach to be published.

    Omitted ones take the server's values.
    """

    min_forget_rate: Annotated[Rate | None, Number] = Field(
        default=None, description="Each concept must be gone from this share of clips"
    )
    max_retain_drop: Annotated[Rate | None, Number] = Field(
        default=None,
        description="The share of clips that show other concepts may fall by this much",
    )
    min_base_rate: Annotated[Rate | None, Number] = Field(
        default=None, description="The base must show each concept in this share of clips"
    )
    max_probes: Annotated[Probes | None, Number] = Field(
        default=None, description="Most probes of each concept, and of other concepts"
    )


class SettingsRequest(RootModel[dict[str, JsonValue]]):
    """Settings in a request, described by the JSON schema of `UnlearnSettings`.

    Acceptance checks them, since errors name `settings.<name>` and have their own code: infinity
    too, as which JSON's 1e999 is read.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(TypeAdapter(UnlearnSettings).core_schema)


class EncoderRequest(_Request):
    """Body of `POST /v1/encoders`, as JSON, or as a form with files in `images`.

    One concept is given by `concept`, `kind` and `synonyms`, several in `concepts`. A composite has
    `compose` in their place.
    """

    id: NewId | None = None
    concept: Phrase | None = None
    kind: Kind | None = None
    synonyms: list[Phrase] = Field([], max_length=16)
    concepts: list[ConceptRequest] = Field([], max_length=8)
    parent: str | None = Field(
        None, description="An encoder or alias to train on from; its concepts stay forgotten"
    )
    compose: list[Line] = Field(
        [],
        max_length=MAX_MEMBERS,
        description="Ids or aliases of the published encoders of a composite, in place of a "
        "concept: nothing is trained, and the set is judged as a whole",
    )
    ways: Annotated[bool | None, BeforeValidator(_form_bool_or_null)] = Field(
        None,
        description="Look for phrases that draw the concepts without naming them, and forget those "
        "that cost nothing else; null: if the method learns from prompts",
    )
    settings: SettingsRequest = Field(
        SettingsRequest({}), description="Settings of the unlearning method"
    )
    gate: GateRequest = GateRequest()
    claimant: Text | None = Field(None, max_length=200, description="Who asked for it; for admins")
    claim: Text | None = Field(None, max_length=2000, description="What they claim; for admins")
    contact: Text | None = Field(None, max_length=200, description="Their address; for admins")

    @model_validator(mode="after")
    def _one_or_several(self) -> EncoderRequest:
        if self.compose:
            if self.concepts or self.concept or self.kind or self.synonyms:
                raise ValueError("give either compose or concepts: members have their own")
            if self.parent is not None or self.settings.root or self.ways:
                given = {"parent": self.parent, "settings": self.settings.root, "ways": self.ways}
                raise InvalidRequest(
                    "A composite is not trained: leave parent, settings and ways out.",
                    param=next(name for name, value in given.items() if value),
                )
            if self.id is None:
                raise InvalidRequest("A composite needs an id.", param="id", code="missing_field")
            return self
        if self.concepts and (self.concept or self.kind or self.synonyms):
            raise ValueError("give either concept and kind, or concepts, not both")
        if not self.concepts and (self.concept is None or self.kind is None):
            if "compose" in self.model_fields_set and not self.concept and not self.kind:
                raise InvalidRequest(
                    "compose is empty: name two encoders at least.",
                    param="compose",
                    code="composite_invalid",
                )
            kinds = ", ".join(get_args(Kind))
            raise ValueError(
                f"concept and kind are needed (kind: one of {kinds}), or concepts, or compose"
            )
        return self

    def stated_claim(self) -> dict[str, Any] | None:
        """Return who asked for the encoder, as the record keeps it; None: it was not said."""
        said = {"claimant": self.claimant, "claim": self.claim, "contact": self.contact}
        given = {name: text for name, text in said.items() if text}
        if not given:
            return None
        return Claim(**given, made_at=int(time.time()), salt=secrets.token_hex(16)).model_dump()

    def wanted(self) -> tuple[Concept, ...]:
        """Return the concepts to forget, from `concepts` or from the single fields.

        A composite's are its members'.
        """
        given: list[EncoderRequest | ConceptRequest] = [*self.concepts] or [self]
        return tuple(
            Concept.model_validate({"name": c.concept, "kind": c.kind, "synonyms": c.synonyms})
            for c in given
        )


class WaysRequest(_Request):
    """Body of `POST /v1/encoders/ways`."""

    concept: Phrase
    kind: Kind
    synonyms: list[Phrase] = Field([], max_length=16)

    def wanted(self) -> Concept:
        """Return the concept to look for."""
        return Concept(name=self.concept, kind=self.kind, synonyms=tuple(self.synonyms))


class JudgeRequest(_Request):
    """Body of `POST /v1/encoders/{encoder_id}/judge`; it may be an empty object."""

    gate: GateRequest = GateRequest()


class AliasRequest(_Request):
    """Body of `PUT /v1/aliases/{name}`."""

    encoder: EncoderId
