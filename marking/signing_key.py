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
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from marking.errors import SigningFailed, SigningKeyInvalid

log = logging.getLogger(__name__)

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order n of P-256 (FIPS 186-4, D.1.2.3)."""
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
        # Whatever else lies in the text, such as a private key, must not be passed on.
        self.certificates = _certificates_alone(certificates)
        self._sign = sign
        self._leaf = certificate_of(self.certificates)
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
            r, s = decode_dss_signature(signature)
        except (InvalidSignature, ValueError) as error:
            raise SigningFailed(
                f"The signature does not fit the certificate {self.key_id}: key and certificate "
                "have to belong together."
            ) from error
        # (r, s) and (r, n - s) are signatures of the same data: the lower one is the signature.
        return encode_dss_signature(r, min(s, ORDER - s))

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
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise SigningKeyInvalid(f"The signing command cannot be read: {error}.") from error
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
    """Return what a command said when it failed, without its arguments: one may be a PIN."""
    if isinstance(error, subprocess.CalledProcessError):
        said = error.stderr.decode(errors="replace").strip()[-500:]
        return f"it ended with {error.returncode}: {said}"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be run"
    return f"it took longer than {COMMAND_TIMEOUT_S} s"


def _certificates_alone(certificates: str) -> str:
    """Return the certificates in a PEM text, and nothing else that is in it."""
    certificate_of(certificates)
    found = x509.load_pem_x509_certificates(certificates.encode())
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in found)


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
