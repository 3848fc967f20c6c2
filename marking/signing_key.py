"""Signing keys: ECDSA on P-256 with SHA-256 (ES256), by a PEM file or a command."""

from __future__ import annotations

import logging
import shlex
import subprocess
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from marking.errors import SigningFailed, SigningKeyInvalid

log = logging.getLogger(__name__)

COMMAND_TIMEOUT_S = 30
"""Time that a signing command may take."""
_ES256 = ec.ECDSA(hashes.SHA256())
_DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
"""A nonce of the data and the key (RFC 6979): the same data has the same signature."""


class SigningKey:
    """A key that signs, and the certificates that say whose it is.

    Args:
        certificates: PEM: the signer's certificate first, then those of its authorities.
        sign: Data → ES256 signature in DER.

    Raises:
        SigningKeyInvalid: The certificates cannot be read, or are not for a P-256 key.
    """

    def __init__(self, certificates: str, sign: Callable[[bytes], bytes]) -> None:
        self.certificates = certificates
        self._sign = sign
        self._leaf = certificate_of(certificates)
        self._public_key = public_key_of(self._leaf)
        self.key_id = key_id_of(self._leaf)
        """`sha256:…` over the signer's certificate."""

    @property
    def valid_until(self) -> datetime:
        """End of the certificate's validity, in UTC."""
        return self._leaf.not_valid_after_utc

    def sign(self, data: bytes) -> bytes:
        """Return the signature of data, in DER.

        Raises:
            SigningFailed: The key signs with another key than its certificate's, or not now.
        """
        signature = self._sign(data)
        try:
            self._public_key.verify(signature, data, _ES256)
        except InvalidSignature as error:
            raise SigningFailed(
                f"The signature does not fit the certificate {self.key_id}: key and certificate "
                "have to belong together."
            ) from error
        return signature

    @classmethod
    def from_pem(cls, private_key: str, certificates: str) -> SigningKey:
        """Return the key of a PKCS #8 PEM without a password.

        Raises:
            SigningKeyInvalid: It cannot be read, is no P-256 key, or not the certificate's.
        """
        try:
            key = load_pem_private_key(private_key.encode(), None)
        except (ValueError, TypeError) as error:
            raise SigningKeyInvalid(
                "The private key cannot be read: it has to be PKCS #8 in PEM, without a password."
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SigningKeyInvalid("The private key has to be an ECDSA key on P-256.")
        ours = cls(certificates, lambda data: key.sign(data, _DETERMINISTIC))
        if key.public_key() != ours._public_key:
            raise SigningKeyInvalid(
                f"The private key is not that of the certificate {ours.key_id}."
            )
        return ours

    @classmethod
    def from_command(cls, command: str, certificates: str) -> SigningKey:
        """Return a key that a command holds, such as that of an HSM.

        The command gets the data on its standard input and prints the signature in DER. It is
        split like a shell's words and run without a shell.
        """
        words = shlex.split(command)
        if not words:
            raise SigningKeyInvalid("The signing command is empty.")

        def sign(data: bytes) -> bytes:
            try:
                done = subprocess.run(
                    words, input=data, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=True
                )
            except (OSError, subprocess.SubprocessError) as error:
                # Its words are the operator's to read, and those who wait for a clip are others.
                log.error("the signing command %r failed: %s", words[0], _said(error))
                raise SigningFailed("The key could not sign: the server's log says why.") from error
            return done.stdout

        return cls(certificates, sign)


def _said(error: Exception) -> str:
    """Return what a command said when it failed."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error} {error.stderr.decode(errors='replace').strip()[-500:]}"
    return str(error)


def certificate_of(certificates: str) -> x509.Certificate:
    """Return the signer's certificate, the first of a chain in PEM.

    Raises:
        SigningKeyInvalid: There is none.
    """
    try:
        return x509.load_pem_x509_certificates(certificates.encode())[0]
    except ValueError as error:
        raise SigningKeyInvalid(f"The certificates cannot be read as PEM: {error}") from error


def public_key_of(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Return a certificate's public key.

    Raises:
        SigningKeyInvalid: It is not an ECDSA key on P-256.
    """
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningKeyInvalid("The certificate has to be for an ECDSA key on P-256.")
    return key


def key_id_of(certificate: x509.Certificate) -> str:
    """Return the `sha256:…` over a certificate, by which the key is named."""
    return f"sha256:{sha256(certificate.public_bytes(Encoding.DER)).hexdigest()}"
