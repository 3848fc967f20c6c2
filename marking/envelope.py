"""Envelopes: signed bytes with their type (DSSE, github.com/secure-systems-lab/dsse)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer, SSlibKey

from marking.errors import MarkInvalid
from marking.signing_key import ORDER, SigningKey, certificate_of, key_id_of, public_key_of


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
    _check_form(envelope)
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


def _check_form(envelope: Any) -> None:
    """Raise MarkInvalid for an envelope that says the same in other bytes, or says more."""
    try:
        [signature] = envelope["signatures"]
        is_exact = (
            set(envelope) == {"payload", "payloadType", "signatures"}
            and set(signature) == {"keyid", "sig"}
            and all(_is_canonical(text) for text in (envelope["payload"], signature["sig"]))
        )
        is_low = decode_dss_signature(b64decode(signature["sig"]))[1] <= ORDER // 2
    except (TypeError, ValueError, KeyError) as error:
        raise MarkInvalid(f"The envelope cannot be read: {error!r}") from error
    if not is_exact or not is_low:
        raise MarkInvalid("The envelope was changed: it has another form than it was signed in.")


def _is_canonical(text: str) -> bool:
    return b64encode(b64decode(text, validate=True)).decode() == text


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
