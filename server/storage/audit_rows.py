"""Rows of audits: what was counted of a published encoder since its judging."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from server.storage.schema import Base

UNAUDITED, OK, FAILED_AUDIT = "unaudited", "ok", "failed"


class AuditRow(Base):
    """The audit of an encoder, by its identity: counts and what follows from them.

    It stays when the encoder is deleted: a copy of it, under whatever id, is the same encoder.
    """

    __tablename__ = "audits"

    identity: Mapped[str] = mapped_column(primary_key=True)
    encoder_id: Mapped[str]
    """Id that the encoder had when it was last looked at."""
    counts: Mapped[dict[str, Any]]
    """Outcomes of the probes (`unlearn.trial.audit.AuditCounts`); empty before the first one."""
    measures: Mapped[dict[str, Any]]
    """Rates that follow from the counts (`unlearn.trial.audit.audit_measures`)."""
    judge: Mapped[str | None]
    """Hash of the judge that the counts are of."""
    state: Mapped[str]
    reason: Mapped[str | None]
    """The reason why it failed, in words."""
    audited_at: Mapped[int | None]
    """Time of the last probe."""
    served_judged: Mapped[int]
    """Served clips that the judge looked at."""
    served_shown: Mapped[int]
    """Of these, clips that show a concept which the encoder forgets."""
