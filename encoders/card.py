"""An encoder's card: what it forgets and how it was made; and the rules for its id."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from encoders.errors import EncoderDamaged, InvalidId

Kind = Literal["object", "character", "style", "person", "motion"]
"""Sort of a concept; it decides prompts, anchors and how forgetting is judged."""

SCHEMA_VERSION = 1

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_id(name: str, *, param: str = "id") -> str:
    """Return `name` if it may name an encoder or an alias.

    The name is also a folder in the store and a part of `model` in requests, so the alphabet is
    narrow: 1 to 63 of `a-z 0-9 . _ -`, the first one a letter or digit, and no `..`.

    Args:
        name: The name to check.
        param: Request field that the error names.

    Raises:
        InvalidId: The name has other characters, or is too short or too long.
    """
    if not is_id(name):
        raise InvalidId(
            f"{name[:80]!r} cannot be an id: use 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "starting with a letter or digit, without '..'.",
            param=param,
        )
    return name


def is_id(name: str) -> bool:
    """Return True if `check_id` accepts the name."""
    return bool(_ID.fullmatch(name)) and ".." not in name


EncoderId = Annotated[str, AfterValidator(check_id)]
Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Concept(BaseModel):
    """A concept to forget, by its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    kind: Kind
    synonyms: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """Other phrases for it, in addition to those of the model's own prompt book."""


class Card(BaseModel):
    """A description of an encoder: what it forgets, how it was made, what was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    id: EncoderId
    concepts: tuple[Concept, ...] = Field(min_length=1)
    """All concepts that it forgets, its parent's included."""
    method: str = Field(min_length=1, max_length=64)
    settings: dict[str, JsonValue] = {}
    """Every setting of the method, defaults included, so that the encoder can be made again."""
    seed: int
    base: Sha256
    """Fingerprint of the base text encoder (`encoders.digest.fingerprint`)."""
    digest: Sha256
    """Digest of the tensors that are computed with (`encoders.digest.digest`): its identity."""
    stored: Sha256
    """Fingerprint of the tensors as they are stored, whole or as factors: the file's integrity."""
    parent: EncoderId | None = None
    """Id of the encoder that this one was trained from; None for the base."""
    created_at: datetime
    measures: dict[str, JsonValue] = {}
    """Measures of the judge: forget_rate, retain_rate, their base rates, counts; and `gate`, the
    thresholds that the encoder had to pass."""

    @property
    def ref(self) -> EncoderRef:
        """The id and digest, for a job to pin."""
        return EncoderRef(self.id, self.digest)

    def to_json(self) -> bytes:
        """Return the card as the store keeps it: indented UTF-8 JSON."""
        return self.model_dump_json(indent=2).encode()

    @classmethod
    def of_encoder(cls, encoder_id: str, data: bytes) -> Card:
        """Read the card that is stored for an encoder.

        Raises:
            EncoderDamaged: It is not JSON, has a field that is missing, unknown or out of range,
                has another schema version, or belongs to another id.
        """
        try:
            card = cls.model_validate_json(data)
        except ValueError as error:
            raise EncoderDamaged.of(encoder_id, _reason(data)) from error
        if card.id != encoder_id:
            raise EncoderDamaged.of(encoder_id, f"it belongs to encoder {card.id!r}")
        return card


def _reason(data: bytes) -> str:
    """Return why a stored card cannot be read, in words for an operator."""
    if not data.strip(b" \0"):
        return "it is empty"
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return "it is not whole JSON"
    if not isinstance(fields, dict):
        return "it is no JSON object"
    version = cast("dict[str, object]", fields).get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        return f"its schema version is {str(version)[:20]}, and {SCHEMA_VERSION} is read here"
    return "a field is missing, unknown or out of range"


class EncoderRef(NamedTuple):
    """A published encoder as a job pins it: its id, and the digest that the id had at that time."""

    id: str
    digest: str
