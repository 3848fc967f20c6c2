"""Ledger: which clip was made with which encoder and for which key, as a chain of hashes.

Each entry holds the hash of the one before it, so that none can be changed, removed or moved
without every later hash changing. An entry's hash is the SHA-256 of its canonical JSON: all hashed
fields, keys sorted, no spaces, UTF-8 (RFC 8785; there are no numbers but integers).

The key and the video are hashed as one commitment with a random salt. Owner, video and salt lie
beside the hashed fields: a tenant is erased by removing these three, and the chain still holds.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from encoders.card import Kind, Sha256

GENESIS = f"sha256:{'0' * 64}"
"""`previous` of the first entry."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:palimpsest:ledger-page:1"

_SALT_BYTES = 32
_UNHASHED = {"object", "hash", "owner", "video_id", "salt"}
_FORBID = ConfigDict(frozen=True, extra="forbid")

Number = Annotated[int, Field(ge=1)]


class LedgerEncoder(BaseModel):
    """An encoder as it was when a clip was made with it."""

    model_config = _FORBID

    id: str
    identity: Sha256
    digest: Sha256
    """Digest of its tensors; of a set, its identity."""


class LedgerConcept(BaseModel):
    """A concept that an encoder forgets."""

    model_config = _FORBID

    name: str
    kind: Kind


class MadeWith(BaseModel):
    """The models that made a clip."""

    model_config = _FORBID

    encoder: LedgerEncoder | None
    """None: the base."""
    members: tuple[LedgerEncoder, ...] = ()
    """Of a set: every encoder in it, sorted by identity."""
    concepts: tuple[LedgerConcept, ...] = ()
    """All that the encoder or the set's members forget, by the names in their cards then."""
    model: str
    base: Sha256
    """Fingerprint of the base text encoder."""


class LedgerDraft(MadeWith):
    """A clip that is to be entered."""

    owner: str
    video_id: str
    clip: Sha256
    """SHA-256 of the mp4 as it is delivered."""


class LedgerEntry(MadeWith):
    """A clip in the ledger."""

    object: Literal["ledger.entry"] = "ledger.entry"
    version: Literal[1] = 1
    sequence: Number
    """Number of the entry; none is left out."""
    subject: Sha256
    """Commitment to owner and video (`commitment`)."""
    clip: Sha256
    """SHA-256 of the mp4 as it is delivered."""
    completed_at: int
    """Unix seconds."""
    previous: Sha256
    """Hash of the entry before."""
    hash: Sha256
    """SHA-256 of the entry's canonical JSON."""
    owner: str | None
    """Id of the key; None: it was erased."""
    video_id: str | None
    salt: str | None

    @property
    def first(self) -> int:
        """Its sequence number, as of a run of one entry."""
        return self.sequence

    @property
    def last(self) -> int:
        """Its sequence number, as of a run of one entry."""
        return self.sequence

    def computed_hash(self) -> str:
        """Return the hash that the entry has to have."""
        return hash_of(self.model_dump(exclude=_UNHASHED))

    def is_of_subject(self) -> bool:
        """Return True if owner and video are those that the entry was made for, or were erased."""
        if self.owner is None and self.video_id is None and self.salt is None:
            return True
        return self.subject == commitment(self.owner, self.video_id, self.salt)


class SkippedEntries(BaseModel):
    """A run of entries that a filter leaves out. Its last hash covers all of them."""

    model_config = _FORBID

    object: Literal["ledger.skipped"] = "ledger.skipped"
    first: Number
    last: Number
    previous: Sha256
    """Hash of the entry before the run."""
    hash: Sha256
    """Hash of the run's last entry."""

    def computed_hash(self) -> str:
        """Return the hash of the last entry, which only a whole export can prove."""
        return self.hash


LedgerItem = Annotated[LedgerEntry | SkippedEntries, Field(discriminator="object")]


class LedgerHead(BaseModel):
    """The end of the chain: the last entry, or the last that was removed if none is left."""

    model_config = _FORBID

    sequence: Annotated[int, Field(ge=0)]
    hash: Sha256


class LedgerFilter(BaseModel):
    """The entries that an export shows; None: whatever it is."""

    model_config = _FORBID

    since: int | None = None
    """Unix seconds, included."""
    until: int | None = None
    """Unix seconds, included."""
    encoder: str | None = None
    """Id, identity or digest of an encoder, alone or in a set."""
    key: str | None = None
    """Id of the owner."""


class LedgerCoverage(BaseModel):
    """The signed part of a page: which entries it accounts for, and where the chain ends."""

    model_config = _FORBID

    first: Number
    last: Annotated[int, Field(ge=0)]
    """`first` - 1 if the page accounts for none."""
    previous: Sha256
    """Hash of the entry before `first`."""
    hash: Sha256
    """Hash of the entry `last`."""
    listing: Sha256
    """Hash over which entries are shown, and which skipped (`listing_of`)."""
    begin: LedgerHead
    """The entry before the oldest one that is left; 0 if none was removed."""
    head: LedgerHead
    """The end of the chain when the page was exported."""
    filter: LedgerFilter
    exported_at: int


class LedgerPage(BaseModel):
    """One page of an export. Shown or skipped, it accounts for every entry from first to last."""

    model_config = _FORBID

    object: Literal["ledger.page"] = "ledger.page"
    entries: list[LedgerItem]
    last_sequence: int
    """`after` of the next page."""
    has_more: bool
    envelope: dict[str, JsonValue]
    """DSSE envelope of the statement about this page."""
    certificates: str
    """PEM: those of the key that signed, the signer's first."""


class LedgerExport(BaseModel):
    """The file of an export: all its pages, in their order."""

    model_config = _FORBID

    format: Literal["palimpsest-ledger"] = "palimpsest-ledger"
    version: Literal[1] = 1
    pages: Annotated[list[LedgerPage], Field(min_length=1)]


def hash_of(value: JsonValue | dict[str, Any]) -> str:
    """Return the `sha256:…` of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def commitment(owner: str | None, video_id: str | None, salt: str | None) -> str:
    """Return the hash that stands for a key and a video. Without the salt it tells neither."""
    return hash_of({"owner": owner, "video_id": video_id, "salt": salt})


def forgets(concepts: Iterable[LedgerConcept], name: str, kind: Kind | None = None) -> bool:
    """Return True if one of the concepts has this name, in any case, and this kind; None: any."""
    wanted = name.casefold().strip()
    return any(
        one.name.casefold().strip() == wanted and kind in (None, one.kind) for one in concepts
    )


def entered(draft: LedgerDraft, completed_at: int, head: LedgerHead) -> LedgerEntry:
    """Return the entry of a clip that follows the head of a chain."""
    salt = secrets.token_hex(_SALT_BYTES)
    fields = {
        **draft.model_dump(),
        "sequence": head.sequence + 1,
        "subject": commitment(draft.owner, draft.video_id, salt),
        "completed_at": completed_at,
        "previous": head.hash,
        "salt": salt,
    }
    entry = LedgerEntry.model_validate({**fields, "hash": GENESIS})
    return entry.model_copy(update={"hash": entry.computed_hash()})


def listing_of(items: Sequence[LedgerEntry | SkippedEntries]) -> str:
    """Return the hash over which entries a page shows, with their owners or without."""
    shown = [
        [item.first, item.last, item.hash, isinstance(item, LedgerEntry) and item.salt is not None]
        for item in items
    ]
    return hash_of({"shown": shown})


def statement_of(coverage: LedgerCoverage) -> bytes:
    """Return the statement to sign about a page, in in-toto's form."""
    digest = coverage.head.hash.removeprefix("sha256:")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "ledger-head", "digest": {"sha256": digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": coverage.model_dump(mode="json"),
    }
    return json.dumps(statement, sort_keys=True).encode()


def coverage_of(statement: bytes) -> LedgerCoverage:
    """Return the coverage that a statement is about.

    Raises:
        ValueError: It is another statement.
    """
    found: Any = json.loads(statement)
    if not isinstance(found, dict) or found.get("predicateType") != PREDICATE_TYPE:
        raise ValueError("the signed statement is about something else")
    return LedgerCoverage.model_validate(found.get("predicate"))
