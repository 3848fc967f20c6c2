"""Models of the answers about clips in the ledger, and of an encoder's recall."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from encoders.card import Kind
from marking.ledger import LedgerConcept, LedgerEntry


class LedgerClip(BaseModel):
    """A clip, as the ledger names it."""

    sequence: int
    """Number of its entry."""
    video_id: str | None
    """Null: its key was erased."""
    key: str | None
    """Id of the key that had it made; null: it was erased."""
    encoder: str | None
    """Id of its encoder or set, null for the base."""
    encoder_identity: str | None
    clip: str
    """`sha256:…` of the mp4 as it was delivered."""
    completed_at: int

    @classmethod
    def of(cls, entry: LedgerEntry) -> LedgerClip:
        """Return the clip of an entry."""
        return cls(
            sequence=entry.sequence,
            video_id=entry.video_id,
            key=entry.owner,
            encoder=entry.encoder and entry.encoder.id,
            encoder_identity=entry.encoder and entry.encoder.identity,
            clip=entry.clip,
            completed_at=entry.completed_at,
        )


class ForgettingSince(BaseModel):
    """Answer to the question since when a key's clips forget a concept."""

    object: Literal["ledger.forgetting"] = "ledger.forgetting"
    key: str
    concept: str
    kind: Kind | None
    since: int | None
    """Time from which every clip of the key was made with an encoder, or a set with a member, that
    forgets the concept; null: the last clip was not."""
    clips: int
    """Clips of the key since then."""
    first: LedgerClip | None
    """The first of these."""
    last_without: LedgerClip | None
    """The last clip that was made without such an encoder; null: the ledger has none."""
    ledger_since: int | None
    """Time of the ledger's first entry, of any key: it knows nothing of clips before."""


class RecalledAlias(BaseModel):
    """An alias that stands for a recalled encoder, or for a set with it."""

    id: str
    encoder: str
    since: int
    """Time since when it points there."""


class RecalledSet(BaseModel):
    """A set with a recalled encoder in it."""

    id: str
    """Of a set that requests put together: its members' ids, joined by `+`."""
    identity: str
    published: bool
    since: int
    """Time when it was made; of one that is not published, of its first clip."""
    clips: int


class RecalledKey(BaseModel):
    """A key that is bound to a recalled encoder, or has clips of it."""

    id: str
    bound_by: list[str]
    """Names in the key that stand for the encoder or for a set with it; none: it is not bound to
    it now, or the key is gone."""
    may_add: list[str]
    """Of the key's additions, those that do."""
    clips: int
    first_at: int | None
    last_at: int | None


class EncoderRecall(BaseModel):
    """Everything that an encoder has reached, on a page with some of its clips."""

    object: Literal["encoder.recall"] = "encoder.recall"
    encoder: str
    """The id, identity or digest that was asked for."""
    published: bool
    """True if it can still be used."""
    made_at: int | None
    """Time when it was made; null: it is not published any more."""
    ids: list[str]
    """Ids that it has or had."""
    identities: list[str]
    concepts: list[LedgerConcept]
    """Concepts that it forgets; none: it was deleted, and used in sets only."""
    clips: int
    """Clips that were made with it, alone or in a set."""
    first_at: int | None
    last_at: int | None
    erased_clips: int
    """Of these, clips whose key was erased."""
    aliases: list[RecalledAlias]
    composites: list[RecalledSet]
    keys: list[RecalledKey]
    ledger_since: int | None
    """Time of the ledger's first entry: it knows nothing of clips before."""
    notice: str
    """Words for those who had the clips made."""
    data: list[LedgerClip]
    """Clips, in the order in which they were made."""
    last_sequence: int | None
    """`after` of the next page."""
    has_more: bool
