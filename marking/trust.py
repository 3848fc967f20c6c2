"""Trust: the signers that a reader knows, each by its own certificate.

An authority that issued a known signer's certificate issues those of others too. So a signer is
known by its certificate alone; the authorities beside it only let C2PA's reader check the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from marking.errors import SigningKeyInvalid
from marking.signing_key import key_id_of


@dataclass(frozen=True)
class TrustedSigners:
    """The signers in some certificates."""

    signers: tuple[x509.Certificate, ...]
    """Certificates that are no authority's."""
    anchors: str
    """PEM of the authorities that issued them."""

    @classmethod
    def of(cls, certificates: Sequence[str]) -> TrustedSigners:
        """Return the signers in PEM texts, in which their authorities may lie too.

        Raises:
            SigningKeyInvalid: A text has no certificates.
        """
        try:
            every = [
                one
                for text in certificates
                for one in x509.load_pem_x509_certificates(text.encode())
            ]
        except ValueError as error:
            raise SigningKeyInvalid(f"The certificates cannot be read as PEM: {error}") from error
        signers = tuple(one for one in every if not _is_authority(one))
        anchors = {
            one.public_bytes(Encoding.PEM).decode()
            for one in every
            if _is_authority(one) and any(_issued(signer, one) for signer in signers)
        }
        return cls(signers, "".join(sorted(anchors)))

    def knows(self, certificate: x509.Certificate) -> bool:
        """Return True if a certificate is one of the signers'."""
        return key_id_of(certificate) in {key_id_of(one) for one in self.signers}

    def key_id(self, serial_number: int) -> str | None:
        """Return the id of the signer whose certificate has this number; None: there is none.

        An authority gives each number once, so it tells a certificate whose chain was checked.
        """
        found = (key_id_of(one) for one in self.signers if one.serial_number == serial_number)
        return next(found, None)


def signer_name(certificate: x509.Certificate) -> str:
    """Return the name in a signer's certificate."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = names or certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(names[0].value) if names else ""


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _issued(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
