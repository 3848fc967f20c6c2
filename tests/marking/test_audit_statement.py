"""Audit statements: signed, read back, and no other kind of statement taken for one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from encoders import Concept
from marking.audit_statement import AuditedRate, AuditFacts, ServedCounts, sign_audit, verify_audit
from marking.certificate import make_key_pair
from marking.envelope import sign_envelope
from marking.errors import MarkInvalid
from marking.report_statement import ReportFacts, sign_report, verify_report
from marking.signing_key import SigningKey
from marking.statement import PAYLOAD_TYPE

CONCEPTS = (Concept(name="pogo", kind="character"),)
NOW = datetime(2026, 11, 29, tzinfo=UTC)
FACTS = AuditFacts(
    encoder_id="no-pogo",
    encoder_identity="sha256:" + "ab" * 32,
    concepts=CONCEPTS,
    judge="classifier 1",
    state="ok",
    reason=None,
    min_forget_rate=0.9,
    max_retain_drop=0.1,
    forgotten=AuditedRate(rate=1.0, interval=(0.8, 1.0), n=30),
    forgotten_by_concept={},
    kept=None,
    lost=None,
    served=ServedCounts(judged=0, shown=0),
    audited_at=NOW,
    signed_at=NOW,
)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    pair = make_key_pair("Acme Videos")
    return SigningKey.from_pem(pair.private_key, pair.certificates)


@pytest.mark.parametrize("report", ["cd" * 32, None])
def test_what_is_signed_is_read_back(key: SigningKey, report: str | None) -> None:
    assert verify_audit(sign_audit(FACTS, report, key), key.certificates) == (FACTS, report)


def test_another_key_did_not_sign_it(key: SigningKey) -> None:
    other = make_key_pair("Somebody")
    with pytest.raises(MarkInvalid, match="signature does not hold"):
        verify_audit(sign_audit(FACTS, None, key), other.certificates)


def test_a_report_is_no_audit_and_an_audit_no_report(key: SigningKey) -> None:
    report = ReportFacts(
        encoder_id="no-pogo",
        encoder_identity=FACTS.encoder_identity,
        base="sha256:" + "0" * 64,
        concepts=CONCEPTS,
        judge="classifier 1",
        reported_at=NOW,
    )
    with pytest.raises(MarkInvalid, match="something else"):
        verify_audit(sign_report({}, report, key), key.certificates)
    with pytest.raises(MarkInvalid, match="something else"):
        verify_report(sign_audit(FACTS, None, key), key.certificates)
    with pytest.raises(MarkInvalid, match="cannot be read"):
        verify_audit(sign_envelope(b"[]", PAYLOAD_TYPE, key), key.certificates)
