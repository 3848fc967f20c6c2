"""Audit statements: what was found of an encoder since its report (in-toto Statement v1).

The statement is a supplement: it names the encoder by its identity and the report as it was
published by its SHA-256, and the report stays as it is. It is signed as a DSSE envelope by the
operator's key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from encoders.card import Concept
from marking.errors import MarkInvalid
from marking.signing_key import SigningKey
from marking.statement import sign_statement, verify_statement

_PREDICATE_TYPE = "urn:palimpsest:audit:1"
REPORT = "report.json"


class AuditedRate(BaseModel):
    """A rate with its interval, which holds however often the encoder was looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rate: float | None
    """Null for none of nothing."""
    interval: tuple[float, float]
    n: int
    """Clips that it is a share of."""


class ServedCounts(BaseModel):
    """Counts of served clips that the judge looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged: int
    shown: int
    """Clips that show a concept which the encoder forgets, whatever was asked for."""


class AuditFacts(BaseModel):
    """The facts that a signed supplement stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder_id: str
    encoder_identity: str
    concepts: tuple[Concept, ...]
    judge: str
    state: Literal["unaudited", "ok", "failed"]
    reason: str | None
    """The reason why it failed, in words."""
    min_forget_rate: float
    """Threshold of the server, not of the encoder's card."""
    max_retain_drop: float
    forgotten: AuditedRate | None
    """Of the clips in which the base shows a concept: those from which it is gone. Null before the
    first probe, like the others."""
    forgotten_by_concept: dict[str, AuditedRate]
    kept: AuditedRate | None
    """Of the probes of other concepts: those in which the encoder shows them."""
    lost: AuditedRate | None
    """The base's share of these less the encoder's."""
    served: ServedCounts
    audited_at: datetime | None
    """Time of the last probe."""
    signed_at: datetime


def sign_audit(facts: AuditFacts, report_sha256: str | None, key: SigningKey) -> dict[str, Any]:
    """Return the envelope of a supplement's statement.

    Args:
        facts: What it stands for.
        report_sha256: Digest in hex of the published report.json; None: the encoder has no report.
        key: The operator's.

    Raises:
        SigningFailed: The key could not sign.
    """
    digests = {facts.encoder_id: facts.encoder_identity.removeprefix("sha256:")}
    if report_sha256 is not None:
        digests[REPORT] = report_sha256
    return sign_statement(digests, _PREDICATE_TYPE, facts.model_dump(mode="json"), key)


def verify_audit(envelope: Any, certificates: str) -> tuple[AuditFacts, str | None]:
    """Return the facts of a supplement, and the SHA-256 of the report that it adds to.

    Args:
        envelope: JSON of the envelope.
        certificates: PEM of the signer's certificate, and of its authorities'.

    Raises:
        MarkInvalid: Its signature does not hold, or it is another kind of statement.
        SigningKeyInvalid: The certificates cannot be read.
    """
    digests, predicate = verify_statement(envelope, certificates, _PREDICATE_TYPE)
    try:
        return AuditFacts.model_validate(predicate), digests.get(REPORT)
    except ValidationError as error:
        raise MarkInvalid(f"The signed statement cannot be read: {error}") from error
