"""Envelopes: signed bytes with their type (DSSE, github.com/secure-systems-lab/dsse)."""

from __future__ import annotations

from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer, SSlibKey

from marking.errors import MarkInvalid
from marking.signing_key import SigningKey, certificate_of, key_id_of, public_key_of


def sign_envelope(payload: bytes, payload_type: str, key: SigningKey) -> dict[str, Any]:
    """Return the envelope of a payload, as a JSON object: payload, payloadType, signatures.

    Raises:
        SigningFailed: The key could not sign.
    """
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(_EnvelopeSigner(key))
    return envelope.to_dict()


def verify_envelope(envelope: Any, certificates: str, payload_type: str) -> bytes:
    """Return an envelope's payload if it was signed with a certificate's key.

    Args:
        envelope: The JSON object.
        certificates: PEM, the signer's first.
        payload_type: The type that the payload has to have.

    Raises:
        MarkInvalid: It is no envelope, has another type, or its signature does not hold.
        SigningKeyInvalid: The certificates cannot be read.
    """
    key = _public_key(certificates)
    try:
        found = Envelope.from_dict(
            {**envelope, "signatures": [dict(one) for one in envelope["signatures"]]}
        )
        found.verify([key], 1)
    except VerificationError as error:
        raise MarkInvalid(
            f"The signature does not hold: the signed statement was changed, or it was not signed "
            f"with {key.keyid}."
        ) from error
    except Exception as error:
        # What is read may be anything, and the library raises many kinds of errors for it.
        raise MarkInvalid(f"The envelope cannot be read: {error!r}") from error
    if found.payload_type != payload_type:
        raise MarkInvalid(f"The envelope holds {found.payload_type!r}, not {payload_type!r}.")
    return found.payload


class _EnvelopeSigner(Signer):
    """A signing key, as the DSSE library calls it."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @property
    def public_key(self) -> Key:
        return _public_key(self._key.certificates)

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Signer:
        raise NotImplementedError

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._key.key_id, self._key.sign(payload).hex())


def _public_key(certificates: str) -> SSlibKey:
    leaf = certificate_of(certificates)
    return SSlibKey.from_crypto(public_key_of(leaf), key_id_of(leaf))
