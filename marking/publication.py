"""Publications: the statement that is signed when an encoder is published, kept with its report.

It is about the report, the card and the overrides as they were then. A timestamp authority can
confirm the time. The signer's certificates lie beside it: by the time it is read, the operator may
sign with another key.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marking.errors import MarkInvalid
from marking.report_statement import ReportFacts, sign_report, verify_report
from marking.signing_key import SigningKey, certificate_of
from marking.timestamp import Timestamp, read_timestamp, request_timestamp
from marking.trust import TrustedSigners

PUBLICATION = "publication.json"
"""Name of its file."""


@dataclass(frozen=True)
class Publication:
    """The signed statement about a published encoder, as read and checked."""

    digests: Mapping[str, str]
    """File → SHA-256 in hex."""
    facts: ReportFacts
    is_trusted: bool
    """True if the reader trusts the signer."""
    timestamp: Timestamp | None


def make_publication(
    digests: Mapping[str, str],
    facts: ReportFacts,
    key: SigningKey,
    timestamp_authority: str | None = None,
) -> bytes:
    """Return the file of a publication.

    Args:
        digests: File → SHA-256 in hex.
        facts: What the report stands for.
        key: The operator's.
        timestamp_authority: URL of an RFC 3161 authority; None: nobody confirms the time.

    Raises:
        SigningFailed: The key or the authority could not sign.
    """
    envelope = sign_report(digests, facts, key)
    content = {"envelope": envelope, "certificates": key.certificates}
    if timestamp_authority is not None:
        stamp = request_timestamp(_signature(envelope), timestamp_authority)
        content["timestamp"] = b64encode(stamp).decode()
    return json.dumps(content, indent=2, sort_keys=True).encode()


def read_publication(data: bytes, trusted: Sequence[str] = ()) -> Publication:
    """Read and check a publication.

    Args:
        data: Its file.
        trusted: Certificates in PEM, of signers, timestamp authorities, or their authorities.

    Raises:
        MarkInvalid: It cannot be read, or a signature does not hold.
        SigningKeyInvalid: Its certificates cannot be read.
    """
    try:
        content = json.loads(data)
        envelope, certificates = content["envelope"], str(content["certificates"])
        stamp = b64decode(content["timestamp"]) if "timestamp" in content else None
    except (ValueError, KeyError, TypeError) as error:
        raise MarkInvalid(f"{PUBLICATION} cannot be read: {error!r}") from error
    digests, facts = verify_report(envelope, certificates)
    timestamp = None if stamp is None else read_timestamp(stamp, _signature(envelope), trusted)
    return Publication(
        digests, facts, TrustedSigners.of(trusted).knows(certificate_of(certificates)), timestamp
    )


def _signature(envelope: Mapping[str, Any]) -> bytes:
    return b64decode(envelope["signatures"][0]["sig"])
