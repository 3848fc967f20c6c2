"""The object of an encoder: what a client sees of its job and its card."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from encoders import Card, EncoderInvalid, EncoderNotFound, MemberUnusable
from encoders.composite import check_members
from server.api.audit_models import EncoderAudit
from server.api.job_answers import job_error
from server.api.response_models import EncoderObject
from server.jobs.phases import Phase, percent_of_phases
from server.storage.audit_rows import AuditRow
from server.storage.audit_table import identities
from server.storage.records import COMPOSES, PENDING, PUBLISHED, EncoderRecord

if TYPE_CHECKING:
    from server.served_model import ServedModel


def encoder_object(
    record: EncoderRecord | None,
    card: Card | None,
    *,
    usable: bool = False,
    audit: AuditRow | None = None,
) -> EncoderObject:
    """Return an encoder as a client sees it.

    Args:
        record: its job; None for one that was published by other means.
        card: its card; None for one that is not published.
        usable: True if a published one can be used (`is_usable`).
        audit: its audit, if a published one has any.
    """
    judging = record if record is not None and record.judges is not None else None
    if record is not None and (card is None or (record.status in PENDING and not judging)):
        return EncoderObject.model_validate(
            {
                "id": record.id,
                "status": record.status,
                "phase": record.phase,
                "progress": record.progress,
                "usable": False,
                "phases": {**percent_of_phases(), **record.phases},
                "estimated_seconds_left": record.seconds_left if record.status in PENDING else None,
                "training": record.training,
                "concepts": record.concepts,
                "members": record.settings.get(COMPOSES, []),
                "parent": record.parent,
                "settings": record.own_settings,
                "gate": record.gate,
                "digest": None,
                "identity": None,
                "trigger": None,
                "base": None,
                "measures": record.measures,
                "judged": "concepts" in record.measures,
                "created_at": record.created_at,
                "completed_at": record.completed_at,
                "error": job_error(record),
                "claim": record.claim,
            }
        )
    assert card is not None
    created = int(card.created_at.timestamp())
    is_judging = judging is not None and judging.status in PENDING
    share = judging.phases.get(Phase.JUDGING, 0) if is_judging and judging else 100
    made = None if judging else record
    return EncoderObject.model_validate(
        {
            "id": card.id,
            "status": PUBLISHED,
            "phase": Phase.JUDGING if is_judging else PUBLISHED,
            "progress": share,
            "usable": usable,
            "phases": {**percent_of_phases(done=Phase.JUDGING), Phase.JUDGING.value: share},
            "concepts": card.concepts,
            "members": card.members,
            "parent": card.parent,
            "settings": card.settings,
            "gate": card.measures.get("gate", {}),
            "digest": card.digest,
            "identity": card.identity,
            "trigger": _thetas(card),
            "base": card.base,
            "measures": card.measures,
            "judged": "concepts" in card.measures,
            "audit": EncoderAudit.of(audit),
            "created_at": made.created_at if made is not None else created,
            "completed_at": made.completed_at if made is not None else created,
            "error": job_error(judging) if judging is not None else None,
            "claim": record.claim if record is not None else None,
            "signed": record is not None and record.publication is not None,
        }
    )


def is_usable(
    card: Card,
    published: Callable[[str], Card],
    model: ServedModel,
    refused: Collection[str],
) -> bool:
    """Return True if neither the cards nor an audit keep a published encoder from being used.

    Args:
        card: the encoder's.
        published: returns the card of a published encoder, or raises EncoderNotFound.
        model: the model that would use it.
        refused: identities of the encoders that must not be used (`AuditTable.refused`).
    """
    if not identities(card).isdisjoint(refused):
        return False
    try:
        check_members(card, published)
    except (MemberUnusable, EncoderInvalid):  # gone, or its card is damaged
        return False
    return card.base == model.base


def in_listing(cards: Sequence[Card]) -> Callable[[str], Card]:
    """Return a function that looks a card up among those that were listed: nothing is read."""
    by_id = {card.id: card for card in cards}

    def published(encoder_id: str) -> Card:
        if encoder_id not in by_id:
            raise EncoderNotFound(f"There is no encoder {encoder_id!r}.", param="encoder")
        return by_id[encoder_id]

    return published


def _thetas(card: Card) -> dict[str, float] | None:
    if card.trigger is None:
        return None
    pairs = zip(card.concepts, card.trigger.concepts, strict=False)
    return {concept.name: one.theta for concept, one in pairs}
