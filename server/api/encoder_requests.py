"""Models of request bodies about encoders: to make one, to look for ways, to judge one."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    RootModel,
    TypeAdapter,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from encoders import Concept, Kind
from encoders.composite import MAX_MEMBERS
from marking.claim import Claim
from server.api.gate_request import GateRequest
from server.api.request_fields import Line, StrictRequest, Text
from server.api.request_models import NewId, form_bool
from server.errors import InvalidRequest
from unlearn.settings import UnlearnSettings

Phrase = Annotated[Text, Field(max_length=100)]


def _form_bool_or_null(value: Any) -> Any:
    return None if value is None else form_bool(value)


class ConceptRequest(StrictRequest):
    """One concept to forget."""

    concept: Phrase
    kind: Kind
    synonyms: list[Phrase] = Field([], max_length=16)


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


class EncoderRequest(StrictRequest):
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


class WaysRequest(StrictRequest):
    """Body of `POST /v1/encoders/ways`."""

    concept: Phrase
    kind: Kind
    synonyms: list[Phrase] = Field([], max_length=16)

    def wanted(self) -> Concept:
        """Return the concept to look for."""
        return Concept(name=self.concept, kind=self.kind, synonyms=tuple(self.synonyms))


class PicturesRequest(EncoderRequest):
    """An `EncoderRequest` with files and no concept: what they show is found."""

    @model_validator(mode="after")
    def _one_or_several(self) -> PicturesRequest:
        if self.synonyms:
            raise InvalidRequest("Synonyms need a concept: name it.", param="concept")
        if self.kind == "motion":
            raise InvalidRequest("A picture shows no motion: name it.", param="kind")
        return self

    def wanted(self) -> tuple[Concept, ...]:
        """Return no concept: nobody has named it."""
        return ()


class JudgeRequest(StrictRequest):
    """Body of `POST /v1/encoders/{encoder_id}/judge`; it may be an empty object."""

    gate: GateRequest = GateRequest()
