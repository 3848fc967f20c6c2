"""Models of audits: a part of the encoder's object, and the signed supplement to its report."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel

from marking.audit_statement import AuditedRate, AuditFacts, ServedCounts
from server.storage.audit_rows import AuditRow


class EncoderAudit(BaseModel):
    """Findings about a published encoder since its judging.

    A key that is bound to encoders is told the state only. Each interval holds with a confidence of
    95 % at least, however often one looks.
    """

    state: Literal["unaudited", "ok", "failed"]
    """`failed` once an interval lies wholly beyond the server's gate."""
    reason: str | None = None
    """The reason why it failed, in words."""
    forgotten: AuditedRate | None = None
    """Of the clips in which the base shows a concept: those from which it is gone."""
    kept: AuditedRate | None = None
    """Of the probes of other concepts: those in which the encoder shows them."""
    lost: AuditedRate | None = None
    """The base's share of these less the encoder's."""
    served: ServedCounts | None = None
    """Served clips that were judged."""
    audited_at: int | None = None
    """Time of the last probe."""

    @classmethod
    def of(cls, row: AuditRow | None) -> Self | None:
        """Return an encoder's audit; None if it has none."""
        if row is None:
            return None
        return cls.model_validate(
            {
                **row.measures,
                "state": row.state,
                "reason": row.reason,
                "served": {"judged": row.served_judged, "shown": row.served_shown},
                "audited_at": row.audited_at,
            }
        )

    def state_only(self) -> EncoderAudit:
        """Return the audit as a key that is bound to encoders sees it."""
        return EncoderAudit(state=self.state)


class AuditSupplement(BaseModel):
    """The supplement to an encoder's report: its facts, and the same ones signed."""

    id: str
    object: Literal["encoder.audit"] = "encoder.audit"
    facts: AuditFacts
    envelope: dict[str, Any]
    """DSSE envelope of an in-toto statement, which names the encoder's identity and the SHA-256 of
    the published report.json."""
    certificates: str
    """PEM, the signer's first."""
