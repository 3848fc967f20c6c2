"""Trust: whether a certificate is one that the reader knows, or was issued by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from marking.signing_key import certificate_of, key_id_of


def is_trusted(certificates: str, trusted: Sequence[str]) -> bool:
    """Return True if the first certificate of a chain is known, or issued by a known one.

    Args:
        certificates: PEM of the chain, the signer's first.
        trusted: Certificates in PEM, of signers or their authorities.
    """
    leaf = certificate_of(certificates)
    known = [one for pem in trusted for one in x509.load_pem_x509_certificates(pem.encode())]
    return any(key_id_of(one) == key_id_of(leaf) or _issued(leaf, one) for one in known)


def signer_name(certificate: x509.Certificate) -> str:
    """Return the name in a signer's certificate."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = names or certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(names[0].value) if names else ""


def was_valid(certificate: x509.Certificate, at: datetime) -> bool:
    """Return True if a certificate was valid at a time."""
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _issued(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
