"""Questions to the ledger: which clips an encoder made, and since when a key's clips forget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import String, cast, func, select
from sqlalchemy.orm import Session

from encoders.card import Kind
from marking.ledger import LedgerConcept, LedgerEncoder, LedgerEntry, forgets
from server.storage.database import Database
from server.storage.ledger_rows import LedgerRow
from server.storage.ledger_table import made_with

_CHUNK = 5000


@dataclass(frozen=True)
class EncoderUse:
    """The clips that one key had made with one encoder or set."""

    owner: str | None
    """None: erased."""
    encoder: LedgerEncoder
    members: Sequence[LedgerEncoder]
    concepts: Sequence[LedgerConcept]
    clips: int
    first_at: int
    last_at: int


@dataclass(frozen=True)
class Forgetting:
    """A key's clips, seen from the last one back, as to one concept."""

    clips: int
    """Clips made since with an encoder that forgets it, none without in between."""
    first: LedgerEntry | None
    """The first of these."""
    last_without: LedgerEntry | None
    """The last clip that was made without such an encoder; None: the ledger has none."""


class LedgerUses:
    """Questions to the ledger. Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begins_at(self) -> int | None:
        """Return the time of the first entry that is left; None if there is none."""
        with self._database.reading() as session:
            first = select(LedgerRow.completed_at).order_by(LedgerRow.sequence).limit(1)
            return session.scalar(first)

    def of_encoder(self, encoder: str) -> list[EncoderUse]:
        """Return who had clips made with an encoder, alone or in a set, the first use first.

        Args:
            encoder: Its id, identity or digest.
        """
        encoders = (
            LedgerRow.encoder_id,
            LedgerRow.encoder_identity,
            LedgerRow.encoder_digest,
            cast(LedgerRow.members, String),
            cast(LedgerRow.concepts, String),
        )
        numbers = (func.min(LedgerRow.sequence), func.count())
        times = (func.min(LedgerRow.completed_at), func.max(LedgerRow.completed_at))
        uses = (
            select(*numbers, *times, LedgerRow.owner, *encoders)
            .where(made_with(encoder))
            .group_by(LedgerRow.owner, *encoders)
            .order_by(func.min(LedgerRow.sequence))
        )
        with self._database.reading() as session:
            rows = session.execute(uses).all()
        return [
            EncoderUse(
                owner=owner,
                encoder=LedgerEncoder.model_validate(
                    {"id": id_, "identity": identity, "digest": digest}
                ),
                members=[LedgerEncoder.model_validate(one) for one in json.loads(members)],
                concepts=_concepts(concepts),
                clips=clips,
                first_at=first_at,
                last_at=last_at,
            )
            for _, clips, first_at, last_at, owner, id_, identity, digest, members, concepts in rows
        ]

    def clips(self, encoder: str, *, after: int, limit: int) -> tuple[list[LedgerEntry], bool]:
        """Return up to `limit` entries of an encoder after one, and True if there are more."""
        rows = select(LedgerRow).where(LedgerRow.sequence > after, made_with(encoder))
        with self._database.reading() as session:
            found = session.scalars(rows.order_by(LedgerRow.sequence).limit(limit + 1)).all()
        return [row.entry() for row in found[:limit]], len(found) > limit

    def forgetting(self, owner: str, concept: str, kind: Kind | None) -> Forgetting:
        """Return since when every clip of a key was made with an encoder that forgets a concept.

        Args:
            owner: Id of the key.
            concept: The concept's name as a card has it, in any case.
            kind: Its kind; None: any.
        """
        rows = select(LedgerRow.sequence, cast(LedgerRow.concepts, String))
        newest_first = rows.where(LedgerRow.owner == owner).order_by(LedgerRow.sequence.desc())
        known: dict[str, bool] = {}
        clips, first, last_without = 0, None, None
        with self._database.reading() as session:
            found = session.execute(newest_first.execution_options(yield_per=_CHUNK))
            for sequence, concepts in found:
                if concepts not in known:
                    known[concepts] = forgets(_concepts(concepts), concept, kind)
                if not known[concepts]:
                    last_without = sequence
                    break
                clips, first = clips + 1, sequence
            return Forgetting(clips, _entry(session, first), _entry(session, last_without))


def _entry(session: Session, sequence: int | None) -> LedgerEntry | None:
    row = None if sequence is None else session.get(LedgerRow, sequence)
    return None if row is None else row.entry()


def _concepts(text: str) -> list[LedgerConcept]:
    return [LedgerConcept.model_validate(one) for one in json.loads(text)]
