"""An encoder's card: what it forgets and how it was made; and the rules for its id."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from encoders.errors import EncoderDamaged, EncoderNewer, InvalidId
from encoders.trigger import Trigger
from encoders.way import Way

Kind = Literal["object", "character", "style", "person", "motion"]
"""Sort of a concept; it decides prompts, anchors and how forgetting is judged."""

SCHEMA_VERSION = 3
"""Raise it with every field that is written: another version refuses fields that it does not know.

Version 1 had no trigger: its encoders are always on. The triggers of version 2 had no length.
Cards of both are still read."""
MARGINS = "margins"
"""Name of the measures that say how far prompts are from the trigger's threshold."""
PRIVATE_SETTINGS = frozenset({"members", "resistance"})
"""Settings that a key which is bound to encoders may not read: which other encoders this one was
merged from, and how well it resists."""

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


def public(settings: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return an encoder's settings without `PRIVATE_SETTINGS`."""
    return {name: value for name, value in settings.items() if name not in PRIVATE_SETTINGS}


EncoderId = Annotated[str, AfterValidator(check_id)]
Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Concept(BaseModel):
    """A concept to forget, by its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    kind: Kind
    synonyms: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """Other phrases for it, in addition to those of the model's own prompt book."""
    ways: Annotated[tuple[Way, ...], Field(exclude_if=lambda ways: not ways)] = ()
    """Phrases that draw it without naming it, as far as they were looked for. Without any the field
    is not written, so that earlier versions read the card."""

    @property
    def phrases(self) -> tuple[str, ...]:
        """The synonyms and the forgotten ways: all that is forgotten like a name."""
        return (*self.synonyms, *(way.phrase for way in self.ways if way.forgotten))

    def without_open_ways(self) -> Concept:
        """Return the concept without the ways that are not forgotten."""
        closed = tuple(way for way in self.ways if way.forgotten)
        return self if closed == self.ways else self.model_copy(update={"ways": closed})


class CardMember(BaseModel):
    """A member of a composite, pinned by its identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: EncoderId
    identity: Sha256

    @property
    def ref(self) -> EncoderRef:
        """The id and the identity."""
        return EncoderRef(self.id, self.identity)


class Card(BaseModel):
    """A description of an encoder: what it forgets, how it was made, what was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2, 3] = SCHEMA_VERSION
    id: EncoderId
    concepts: tuple[Concept, ...] = Field(min_length=1)
    """All concepts that it forgets, its parent's or its members' included."""
    members: tuple[CardMember, ...] = ()
    """The encoders of a composite (`encoders.composite`), by id; none: an encoder of its own."""
    method: str = Field(min_length=1, max_length=64)
    settings: dict[str, JsonValue] = {}
    """Every setting of the method, defaults included, so that the encoder can be made again."""
    seed: int
    base: Sha256
    """Fingerprint of the base text encoder (`encoders.digest.fingerprint`)."""
    digest: Sha256
    """Digest of the tensors that are computed with (`encoders.digest.digest`). A composite has
    none: it is the identity of the set, and so is `stored`."""
    stored: Sha256
    """Fingerprint of the tensors as they are stored, whole or as factors: the file's integrity."""
    trigger: Trigger | None = None
    """Movement from which it is used for a prompt; None: it is used for every prompt."""
    parent: EncoderId | None = None
    """Id of the encoder that this one was trained from; None for the base."""
    created_at: datetime
    measures: dict[str, JsonValue] = {}
    """Measures of the judge: forget_rate, retain_rate, their base rates, counts; and `gate`, the
    thresholds that the encoder had to pass."""

    @property
    def identity(self) -> str:
        """A hash over all that decides what the encoder does to a prompt.

        That is its tensors, its trigger and, in a set, the names of its concepts.

        A composite's is the identity of the set of its members, whatever the composite is called.
        """
        if self.trigger is None or self.members:
            return self.digest
        return decisive_hash(self.digest, self.trigger, self.concepts)

    @property
    def ref(self) -> EncoderRef:
        """The id and the identity, for a job to pin."""
        return EncoderRef(self.id, self.identity)

    def without_trigger(self) -> Card:
        """Return the card without what helps to get around the encoder.

        That is its trigger, its margins, `PRIVATE_SETTINGS`, and the ways that are not forgotten.
        """
        changes = {
            "trigger": None,
            "measures": {name: value for name, value in self.measures.items() if name != MARGINS},
            "settings": public(self.settings),
            "concepts": tuple(concept.without_open_ways() for concept in self.concepts),
        }
        return self.model_copy(update=changes)

    def to_json(self) -> bytes:
        """Return the card as the store keeps it: indented UTF-8 JSON."""
        return self.model_dump_json(indent=2).encode()

    @classmethod
    def of_encoder(cls, encoder_id: str, data: bytes) -> Card:
        """Read the card that is stored for an encoder.

        Raises:
            EncoderNewer: It has a later schema version.
            EncoderDamaged: It is not JSON, has a field that is missing, unknown or out of range,
                has no schema version that there ever was, or belongs to another id.
        """
        try:
            card = cls.model_validate_json(data)
        except ValueError as error:
            version = _version(data)
            if version > SCHEMA_VERSION:
                reads = f"its card has schema version {version}; 1 to {SCHEMA_VERSION} are read"
                raise EncoderNewer.of(encoder_id, reads) from error
            raise EncoderDamaged.of(encoder_id, _reason(data)) from error
        if card.id != encoder_id:
            raise EncoderDamaged.of(encoder_id, f"it belongs to encoder {card.id!r}")
        return card


class _Versioned(BaseModel):
    """The field that every card has."""

    schema_version: int = Field(0, strict=True, le=1_000)


def names_by_kind(concepts: Iterable[Concept]) -> set[tuple[str, str]]:
    """Return every name of some concepts with its kind, however it is written.

    Two encoders forget the same concept if they share one of them.
    """
    return {
        (concept.kind, name.casefold().strip())
        for concept in concepts
        for name in (concept.name, *concept.synonyms)
    }


def decisive_hash(digest: str, trigger: Trigger, concepts: Iterable[Concept]) -> str:
    """Return the hash over an encoder's tensors, its trigger and its concepts' names."""
    # What a trigger lacks is left out, as it is in the identities of version 2.
    opens = trigger.model_dump(mode="json", exclude_none=True)
    decisive = [digest, opens, sorted(names_by_kind(concepts))]
    return f"sha256:{sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()}"


def _version(data: bytes) -> int:
    """Return the schema version of a card that cannot be read; 0 if it has none."""
    try:
        return _Versioned.model_validate_json(data).schema_version
    except ValueError:
        return 0


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
    if version not in range(1, SCHEMA_VERSION + 1):
        return f"its schema version is {str(version)[:20]}; 1 to {SCHEMA_VERSION} are read here"
    return "a field is missing, unknown or out of range"


class EncoderRef(NamedTuple):
    """An encoder or a set of them as a job pins it: its id, and the identity that it had then."""

    id: str
    """Of a set that was put together for one request: its members' ids, joined by `+`."""
    identity: str
    members: tuple[EncoderRef, ...] = ()
    """The published encoders of such a set. A composite has none here: its card lists them."""
