"""Timestamps: an authority's signed word for when something was there (RFC 3161)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha512
from time import monotonic

import httpx
from cryptography import x509
from rfc3161_client import (
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from marking.errors import MarkInvalid, SigningFailed

SECONDS = 10.0
"""Time that an authority has to answer."""
MAX_BYTES = 64 << 10
"""Largest answer that is read."""


@dataclass(frozen=True)
class Timestamp:
    """An authority's word for when something was there."""

    time: datetime
    is_trusted: bool
    """True if a certificate that the reader trusts stands behind the authority's."""


def request_timestamp(data: bytes, authority: str) -> bytes:
    """Return the answer of an authority about data, of which it gets the hash alone.

    Args:
        data: What was there.
        authority: The authority's URL.

    Raises:
        SigningFailed: It did not answer, or refused.
    """
    request = (
        TimestampRequestBuilder()
        .data(data)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    headers = {"Content-Type": "application/timestamp-query"}
    try:
        content = _answered(authority, request.as_bytes(), headers)
        found = decode_timestamp_response(content)
        if PKIStatus(found.status) != PKIStatus.GRANTED:
            raise SigningFailed(f"The timestamp authority {authority} refused.")
        _check_imprint(found, data)
    except (httpx.HTTPError, ValueError, MarkInvalid) as error:
        raise SigningFailed(f"The timestamp authority {authority} failed: {error}") from error
    return content


def _answered(authority: str, query: bytes, headers: dict[str, str]) -> bytes:
    """Return an authority's answer, of limited size and in limited time."""
    until = monotonic() + SECONDS
    with httpx.stream("POST", authority, content=query, headers=headers, timeout=SECONDS) as answer:
        answer.raise_for_status()
        content = b""
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > MAX_BYTES or monotonic() > until:
                raise SigningFailed(
                    f"The timestamp authority {authority} sent too much, or too slowly."
                )
    return content


def read_timestamp(response: bytes, data: bytes, trusted: Sequence[str] = ()) -> Timestamp:
    """Return what an authority's answer says of data.

    Args:
        response: The answer.
        data: What it has to be about.
        trusted: Certificates in PEM, of authorities or theirs.

    Raises:
        MarkInvalid: It cannot be read, or is about something else.
    """
    try:
        found = decode_timestamp_response(response)
        _check_imprint(found, data)
        return Timestamp(found.tst_info.gen_time, _is_trusted(found, data, trusted))
    except ValueError as error:
        raise MarkInvalid(f"The timestamp cannot be read: {error}") from error


def _check_imprint(found: TimeStampResponse, data: bytes) -> None:
    # The library asks for SHA-512.
    if found.tst_info.message_imprint.message != sha512(data).digest():
        raise MarkInvalid("The timestamp is about something else.")


def _is_trusted(found: TimeStampResponse, data: bytes, trusted: Sequence[str]) -> bool:
    roots = [one for pem in trusted for one in x509.load_pem_x509_certificates(pem.encode())]
    for root in roots:
        # The authority's answer brings its own intermediate certificates.
        verifier = VerifierBuilder().add_root_certificate(root)
        try:
            verifier.build().verify_message(found, data)
        except (VerificationError, ValueError):
            continue
        return True
    return False
