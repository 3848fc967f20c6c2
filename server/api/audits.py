"""Route `/v1/encoders/{encoder_id}/audit`: the signed supplement to an encoder's report."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from fastapi import APIRouter, Request

from encoders import Card, ReportNotFound
from encoders.store import EncoderStore
from marking.audit_statement import REPORT, AuditFacts, sign_audit
from server.api.audit_models import AuditSupplement, EncoderAudit
from server.api.encoders import VisibleEncoder
from server.api.visibility import visibility_of
from server.auth.guard import caller_of
from server.errors import Conflict, Forbidden
from server.gates import server_gate
from server.runtime import Runtime, runtime_of
from server.storage.audit_rows import UNAUDITED
from server.storage.records import PUBLISHED

router = APIRouter(prefix="/v1/encoders/{encoder_id}/audit", tags=["encoders"])


@router.get("", summary="Read what was found of an encoder since its report")
def get_audit(request: Request, encoder: VisibleEncoder) -> AuditSupplement:
    """Return the counts and intervals of an encoder's audit, signed by the server's key.

    The published report stays as it is: this supplement names it by its digest. It takes a key that
    may use everything.
    """
    runtime, caller = runtime_of(request), caller_of(request)
    if not visibility_of(runtime, caller).sees_all:
        raise Forbidden(
            f"Key {caller.id!r} is bound to encoders; the numbers of an audit take one that is "
            f"not. /v1/encoders/{encoder.id} has its state."
        )
    if encoder.status != PUBLISHED:
        raise Conflict(
            f"Encoder {encoder.id} is {encoder.status}, and only published ones are audited.",
            code="encoder_not_ready",
        )
    store, key = runtime.encoders, runtime.storage.signing_keys.active()
    facts = _facts(runtime, store.card(encoder.id))
    return AuditSupplement(
        id=encoder.id,
        facts=facts,
        envelope=sign_audit(facts, _report_digest(store, encoder.id), key),
        certificates=key.certificates,
    )


def _facts(runtime: Runtime, card: Card) -> AuditFacts:
    row, gate = runtime.storage.audits.get(card.identity), server_gate(runtime.settings)
    audit = EncoderAudit.of(row) or EncoderAudit(state=UNAUDITED)
    seconds = audit.audited_at
    return AuditFacts.model_validate(
        {
            **audit.model_dump(exclude={"audited_at"}),
            "encoder_id": card.id,
            "encoder_identity": card.identity,
            "concepts": card.concepts,
            "judge": str(runtime.model.require_judge().identity),
            "min_forget_rate": gate.min_forget_rate,
            "max_retain_drop": gate.max_retain_drop,
            "forgotten_by_concept": row.measures.get("concepts", {}) if row is not None else {},
            "served": audit.served or {"judged": 0, "shown": 0},
            "audited_at": None if seconds is None else datetime.fromtimestamp(seconds, UTC),
            "signed_at": datetime.now(UTC),
        }
    )


def _report_digest(store: EncoderStore, encoder_id: str) -> str | None:
    """Return the SHA-256 of the published report; None for an encoder without one."""
    try:
        return sha256(store.report(encoder_id, REPORT)).hexdigest()
    except ReportNotFound:
        return None
