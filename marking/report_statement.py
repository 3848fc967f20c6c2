"""Report statements: what an encoder's signed report is about (in-toto Statement v1).

The statement names every file of the report, and the encoder's overrides, by their SHA-256. It is
signed as a DSSE envelope by the operator's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from encoders.card import Concept
from marking.errors import MarkInvalid
from marking.signing_key import SigningKey
from marking.statement import sign_statement, verify_statement

_PREDICATE_TYPE = "urn:palimpsest:report:1"


class ReportFacts(BaseModel):
    """The facts that a signed report stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder_id: str
    encoder_identity: str
    base: str
    """Fingerprint of the base text encoder."""
    concepts: tuple[Concept, ...]
    judge: str
    reported_at: datetime
    """Time at which the encoder was judged."""
    issuer: str = ""
    verdict: str = ""
    """The report's verdict in one sentence."""
    claim_digest: str | None = None
    """Digest of the claim (`marking.claim`) that it was made for; None: it was not said."""


def sign_report(digests: Mapping[str, str], facts: ReportFacts, key: SigningKey) -> dict[str, Any]:
    """Return the envelope of a report's statement.

    Args:
        digests: File → SHA-256 in hex.
        facts: What the report stands for.
        key: The operator's.

    Raises:
        SigningFailed: The key could not sign.
    """
    predicate = facts.model_dump(mode="json", exclude_none=True)
    return sign_statement(digests, _PREDICATE_TYPE, predicate, key)


def verify_report(envelope: Any, certificates: str) -> tuple[dict[str, str], ReportFacts]:
    """Return the digests and facts of a report's statement.

    Args:
        envelope: JSON of the envelope.
        certificates: PEM of the signer's certificate, and of its authorities'.

    Raises:
        MarkInvalid: Its signature does not hold, or it is another kind of statement.
        SigningKeyInvalid: The certificates cannot be read.
    """
    digests, predicate = verify_statement(envelope, certificates, _PREDICATE_TYPE)
    try:
        return digests, ReportFacts.model_validate(predicate)
    except ValidationError as error:
        raise MarkInvalid(f"The signed statement cannot be read: {error}") from error
