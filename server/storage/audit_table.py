"""The table of audits, and the policy about encoders whose audit failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from encoders import Card, EncoderFailedAudit, EncoderRef
from server.storage.audit_rows import FAILED_AUDIT, OK, UNAUDITED, AuditRow
from server.storage.database import Database


class AuditTable:
    """The audits of encoders. Every method is one short transaction.

    Args:
        database: The database.
        refuses: True if an encoder whose audit failed must not be used (`audit_policy`).
        clock: Returns the time in Unix seconds.
    """

    def __init__(
        self, database: Database, *, refuses: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._refuses = refuses
        self._clock = clock

    def all(self) -> Mapping[str, AuditRow]:
        """Return identity → audit, of every encoder that has one."""
        with self._database.reading() as session:
            return {row.identity: row for row in session.scalars(select(AuditRow))}

    def get(self, identity: str) -> AuditRow | None:
        """Return an encoder's audit; None if it has none yet."""
        with self._database.reading() as session:
            return session.get(AuditRow, identity)

    def save(
        self,
        encoder: EncoderRef,
        counts: Mapping[str, Any],
        measures: Mapping[str, Any],
        failures: Collection[str],
        *,
        judge: str,
        since: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write what an encoder's probes amount to now.

        Args:
            encoder: The encoder.
            counts: Answers of its probes.
            measures: What they amount to.
            failures: Sentences about what is wrong; none if it is all right.
            judge: Hash of the judge.
            since: The counts that a probe was added to; None writes whatever was there.

        Returns:
            False if another server has added a probe since. Then nothing is written: this one is
            the same probe, or an earlier one.
        """
        with self._database.writing() as session:
            row = _row(session, encoder)
            if since is not None and row.counts != since:
                return False
            row.counts, row.measures, row.judge = dict(counts), dict(measures), judge
            row.state = FAILED_AUDIT if failures else OK
            row.reason = " ".join(failures) or None
            row.audited_at = int(self._clock())
            return True

    def count_served(self, encoder: EncoderRef, *, shown: bool) -> None:
        """Count a served clip, and whether it shows what the encoder forgets."""
        with self._database.writing() as session:
            row = _row(session, encoder)
            row.served_judged += 1
            row.served_shown += shown

    def refused(self) -> frozenset[str]:
        """Return the identities of the encoders that must not be used; with "flag" none."""
        if not self._refuses:
            return frozenset()
        with self._database.reading() as session:
            failed = select(AuditRow.identity).where(AuditRow.state == FAILED_AUDIT)
            return frozenset(session.scalars(failed))

    def require(
        self,
        encoder: EncoderRef | None,
        card_of: Callable[[str], Card],
        *,
        param: str = "encoder",
    ) -> None:
        """Raise EncoderFailedAudit if the encoder, or a member of the set, must not be used.

        Args:
            encoder: What a request means; None for the base.
            card_of: Returns the card of a published encoder.
            param: The request's field that names it.

        Raises:
            EncoderFailedAudit: Its audit failed. Nothing takes its place.
            EncoderNotFound: It was deleted meanwhile.
        """
        refused = self.refused() if encoder is not None else frozenset[str]()
        if encoder is None or not refused:
            return
        for one in encoder.members or (encoder,):
            if {encoder.identity, one.identity, *identities(card_of(one.id))} & refused:
                raise EncoderFailedAudit(
                    f"Encoder {encoder.id!r} has failed its audit, and this server does not use it "
                    "(PALIMPSEST_AUDIT_POLICY): name another, or ask the operator.",
                    param=param,
                )


def identities(card: Card) -> set[str]:
    """Return the identities of an encoder and, for a composite, of its members."""
    return {card.identity, *(member.identity for member in card.members)}


def _row(session: Session, encoder: EncoderRef) -> AuditRow:
    """Return the encoder's row, a new one if it has none."""
    row = session.get(AuditRow, encoder.identity)
    if row is None:
        row = AuditRow(
            identity=encoder.identity,
            encoder_id=encoder.id,
            counts={},
            measures={},
            state=UNAUDITED,
            served_judged=0,
            served_shown=0,
        )
        session.add(row)
    row.encoder_id = encoder.id
    return row
