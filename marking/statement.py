"""Statements: what is said of some files, by their SHA-256 (in-toto Statement v1), signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from marking.envelope import sign_envelope, verify_envelope
from marking.errors import MarkInvalid
from marking.signing_key import SigningKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_TYPE = "https://in-toto.io/Statement/v1"


def sign_statement(
    digests: Mapping[str, str], kind: str, predicate: Mapping[str, Any], key: SigningKey
) -> dict[str, Any]:
    """Return the envelope of a statement.

    Args:
        digests: File → SHA-256 in hex.
        kind: The predicate's type.
        predicate: What is said, as JSON values.
        key: The operator's.

    Raises:
        SigningFailed: The key could not sign.
    """
    subjects = [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)]
    statement = {
        "_type": _TYPE,
        "subject": subjects,
        "predicateType": kind,
        "predicate": predicate,
    }
    payload = json.dumps(statement, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sign_envelope(payload.encode(), PAYLOAD_TYPE, key)


def verify_statement(envelope: Any, certificates: str, kind: str) -> tuple[dict[str, str], Any]:
    """Return the digests and the predicate of a signed statement.

    Args:
        envelope: JSON of the envelope.
        certificates: PEM of the signer's certificate, and of its authorities'.
        kind: The predicate's type.

    Raises:
        MarkInvalid: Its signature does not hold, or it is another kind of statement.
        SigningKeyInvalid: The certificates cannot be read.
    """
    payload = verify_envelope(envelope, certificates, PAYLOAD_TYPE)
    try:
        statement = json.loads(payload)
        found = statement["_type"], statement["predicateType"]
        digests = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
        predicate = statement["predicate"]
    except (ValueError, KeyError, TypeError) as error:
        raise MarkInvalid(f"The signed statement cannot be read: {error}") from error
    if found != (_TYPE, kind):
        raise MarkInvalid(f"The signed statement is about something else than {kind!r}.")
    return digests, predicate
