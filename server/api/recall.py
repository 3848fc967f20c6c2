"""Route of an encoder's recall: the clips, aliases, sets and keys that it has reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from encoders import Card, EncoderNotFound
from marking.ledger import LedgerConcept
from server.api.ledger_models import (
    EncoderRecall,
    LedgerClip,
    RecalledAlias,
    RecalledKey,
    RecalledSet,
)
from server.auth.access import require_admin
from server.auth.guard import caller_of
from server.auth.keys import Key
from server.runtime import Runtime, runtime_of
from server.storage.alias_rows import AliasRow
from server.storage.ledger_uses import EncoderUse, LedgerUses

router = APIRouter(prefix="/v1/encoders", tags=["ledger"])

Recalled = Annotated[
    str,
    Path(
        description="Id of an encoder, also of one that was deleted; or its identity or digest",
        pattern=r"^([a-z0-9][a-z0-9._-]{0,62}|sha256:[0-9a-f]{64})$",
    ),
]


@router.get("/{encoder}/recall", summary="Recall an encoder (an admin's key)")
def recall_encoder(
    request: Request,
    encoder: Recalled,
    after: Annotated[
        int, Query(ge=0, le=1 << 53, description="`last_sequence` of the page before")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EncoderRecall:
    """Return the clips, aliases, sets and keys that an encoder has reached, and since when.

    Nothing is changed: the encoder stays until it is deleted. By an id, every encoder that ever had
    it is meant; by an identity or a digest, that one.
    """
    require_admin(caller_of(request))
    runtime = runtime_of(request)
    uses = LedgerUses(runtime.database)
    reach = _Reach(encoder, uses.of_encoder(encoder), runtime.encoders.cards())
    if not reach.is_known:
        raise _unknown(runtime, encoder)
    rows = runtime.aliases.rows()
    page, has_more = uses.clips(encoder, after=after, limit=limit)
    found = EncoderRecall(
        encoder=encoder,
        published=bool(reach.cards),
        made_at=min((_made_at(card) for card in reach.cards), default=None),
        ids=reach.ids,
        identities=reach.identities,
        concepts=reach.concepts,
        clips=sum(use.clips for use in reach.uses),
        first_at=min((use.first_at for use in reach.uses), default=None),
        last_at=max((use.last_at for use in reach.uses), default=None),
        erased_clips=sum(use.clips for use in reach.uses if use.owner is None),
        aliases=reach.aliases(rows),
        composites=reach.composites(),
        keys=reach.keys(runtime.key_policy.keys, rows),
        ledger_since=uses.begins_at(),
        notice="",
        data=[LedgerClip.of(entry) for entry in page],
        last_sequence=page[-1].sequence if page else None,
        has_more=has_more,
    )
    return found.model_copy(update={"notice": notice_of(found)})


class _Reach:
    """Everything that is known of one encoder, from the ledger and from the published cards.

    Args:
        asked: Its id, identity or digest.
        uses: Its uses in the ledger.
        published: Every published card.
    """

    def __init__(self, asked: str, uses: Sequence[EncoderUse], published: Sequence[Card]) -> None:
        self._asked = asked
        self.uses = uses
        self._published = {card.id: card for card in published}
        self.cards = [card for card in published if self._is(card.id, card.identity, card.digest)]
        """The encoder's own card; several if encoders share a digest."""
        used = [one for use in uses for one in (use.encoder, *use.members)]
        pairs = [(one.id, one.identity) for one in used if self._is(**one.model_dump())]
        pairs += [(card.id, card.identity) for card in self.cards]
        self.ids = sorted({name for name, _ in pairs} or {asked})
        self.identities = sorted({identity for _, identity in pairs})
        self.is_known = bool(uses or self.cards or self._sets())

    def _is(self, id: str, identity: str, digest: str) -> bool:
        return self._asked in (id, identity, digest)

    @property
    def concepts(self) -> list[LedgerConcept]:
        """The concepts that it forgets, by its card or by its clips outside of other sets."""
        own = [use.concepts for use in self.uses if self._is(**use.encoder.model_dump())]
        found = [
            LedgerConcept(name=one.name, kind=one.kind)
            for card in self.cards
            for one in card.concepts
        ]
        return list(dict.fromkeys([*found, *(one for concepts in own for one in concepts)]))

    def _sets(self) -> list[Card]:
        """Return the published composites that list it, by its id or its identity."""
        identities = {card.identity for card in self.cards} | {self._asked}
        return [
            card
            for card in self._published.values()
            if any(one.id == self._asked or one.identity in identities for one in card.members)
        ]

    def composites(self) -> list[RecalledSet]:
        """Return the sets with it: published ones, and those that clips were made with."""
        found: dict[tuple[str, str], RecalledSet] = {
            (card.id, card.identity): RecalledSet(
                id=card.id,
                identity=card.identity,
                published=True,
                since=_made_at(card),
                clips=0,
            )
            for card in self._sets()
        }
        for use in self.uses:
            one = use.encoder
            if self._is(**one.model_dump()):
                continue
            earlier = found.get((one.id, one.identity)) or RecalledSet(
                id=one.id, identity=one.identity, published=False, since=use.first_at, clips=0
            )
            changes = {"clips": earlier.clips + use.clips}
            found[one.id, one.identity] = earlier.model_copy(update=changes)
        return list(found.values())

    def _names(self) -> set[str]:
        """Return the ids that stand for the encoder, or for a set with it, now or if made again."""
        own = {name for name in self.ids if self._asked == name or self._may_be(name)}
        return own | {one.id for one in self.composites() if one.published or self._may_be(one.id)}

    def _may_be(self, name: str) -> bool:
        """Return False if the id belongs to another encoder by now."""
        card = self._published.get(name)
        return card is None or card in self.cards or card in self._sets()

    def aliases(self, rows: Sequence[AliasRow]) -> list[RecalledAlias]:
        """Return the aliases that point to the encoder, or to a set with it."""
        names = self._names()
        return [
            RecalledAlias(id=row.name, encoder=row.encoder_id, since=row.changed_at)
            for row in rows
            if row.encoder_id in names
        ]

    def keys(self, keys: Sequence[Key], rows: Sequence[AliasRow]) -> list[RecalledKey]:
        """Return the keys that are bound to it, and those that have clips of it, by id."""
        names = self._names() | {alias.id for alias in self.aliases(rows)}
        used: dict[str, list[EncoderUse]] = {}
        for use in self.uses:
            if use.owner is not None:
                used.setdefault(use.owner, []).append(use)
        by_id: Mapping[str, Key] = {key.id: key for key in keys}
        found: list[RecalledKey] = []
        for name in sorted({*by_id, *used}):
            key, own = by_id.get(name), used.get(name, [])
            bound = sorted(names & set((key and key.encoders) or ()))
            added = sorted(names & set(key.additions if key else ()))
            if bound or added or own:
                found.append(
                    RecalledKey(
                        id=name,
                        bound_by=bound,
                        may_add=added,
                        clips=sum(use.clips for use in own),
                        first_at=min((use.first_at for use in own), default=None),
                        last_at=max((use.last_at for use in own), default=None),
                    )
                )
        return found


def notice_of(recall: EncoderRecall) -> str:
    """Return words for those who had the clips made: what happened, what it means, what to do."""
    what = " and ".join(f"“{one.name}” ({one.kind})" for one in recall.concepts)
    forgets = f", which was made to forget {what}," if what else ""
    if not recall.clips:
        return (
            f"No clip in the ledger was made with the encoder {recall.encoder}. The ledger begins "
            f"on {_day(recall.ledger_since)}, and knows nothing of clips before."
        )
    count = "One clip was" if recall.clips == 1 else f"{recall.clips} clips were"
    return (
        f"{count} made with the encoder {recall.encoder}{forgets} alone or in a set, from "
        f"{_day(recall.first_at)} to {_day(recall.last_at)}. We recall this encoder: [say why]. "
        "Do not rely on these clips leaving out what it was to forget: look at them, or take them "
        "back. A clip cannot be repaired: have it made again with another encoder. The list that "
        "goes with this notice has the clips of your key by id and by the SHA-256 of the file; "
        "each file names its encoder's identity. Copies that were changed since have another hash."
    )


def _day(seconds: int | None) -> str:
    return "no day yet" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _made_at(card: Card) -> int:
    return int(card.created_at.timestamp())


def _unknown(runtime: Runtime, encoder: str) -> EncoderNotFound:
    target = runtime.aliases.target(encoder)
    if target is not None:
        return EncoderNotFound(
            f"{encoder!r} is an alias: recall the encoder that it points to, {target!r}.",
            param="encoder",
        )
    return EncoderNotFound(
        f"No encoder {encoder!r} is published, and no clip in the ledger was made with one.",
        param="encoder",
    )
