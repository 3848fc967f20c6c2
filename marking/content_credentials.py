"""Content credentials: signed C2PA manifests in media files (c2pa.org, specification 2.2).

A manifest says that a generative model created the file's pixels, and carries the clip's statement
(`marking.clip_statement`). The signature covers the file: a changed byte of what is shown is found
by any C2PA reader. Every remux breaks it, so a file is signed last.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from pydantic import ValidationError

from encoders.version import VERSION
from marking.clip_statement import LABEL, ClipStatement
from marking.errors import MarkInvalid, NotMarked, SigningFailed
from marking.signing_key import SigningKey
from marking.trust import TrustedSigners

if TYPE_CHECKING:
    from c2pa import Context

MediaType = Literal["video/mp4", "image/webp", "image/png"]

_CREATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's digital source type for what a generative model made."""
_UNKNOWN_SIGNER = "signingCredential.untrusted"
_EXPIRED = frozenset({"signingCredential.expired", "claimSignature.outsideValidity"})
_AS_SIGNED = "assertion.hashedURI.match"
_COORDINATE_BYTES = 32


@dataclass(frozen=True)
class Credentials:
    """The content credentials of a file, as read and checked."""

    clip: ClipStatement | None
    """The clip's statement as it was signed; None: it was changed, or there is none."""
    signer: str
    """Name in the signer's certificate. Anybody can put any name there: see `is_trusted`."""
    key_id: str | None
    """Id of the trusted signer of the statement, whatever became of the rest of the file; None: it
    is nobody whom the reader trusts."""
    signed_at: datetime | None
    """Time in the file's timestamp. Anybody can put any authority's there: it is not checked."""
    is_expired: bool
    """True if the signer's certificate has ended, and no trusted timestamp is older."""
    problems: tuple[str, ...]
    """C2PA's codes of what does not hold, such as `assertion.bmffHash.mismatch`; none: the file is
    as it was signed."""

    @property
    def is_trusted(self) -> bool:
        """True if the reader trusts the signer of the statement."""
        return self.key_id is not None


def sign_media(
    data: bytes,
    media_type: MediaType,
    clip: ClipStatement,
    key: SigningKey,
    timestamp_authority: str | None = None,
) -> bytes:
    """Return a media file with signed content credentials.

    Args:
        data: The finished file.
        media_type: Its type.
        clip: The statement that it carries.
        key: The key to sign with.
        timestamp_authority: URL of an RFC 3161 authority that confirms the time; None: nobody does.

    Raises:
        SigningFailed: The key, the authority or the library could not sign.
    """
    from c2pa import Builder, C2paError, C2paSigningAlg, Signer

    manifest = {
        "claim_generator_info": [{"name": "Palimpsest", "version": VERSION}],
        "title": clip.id,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": _CREATED}]},
            },
            {"label": LABEL, "data": clip.model_dump()},
        ],
    }
    failures: list[SigningFailed] = []

    def sign(claim: bytes) -> bytes:
        try:
            return _concatenated(key.sign(claim))
        except SigningFailed as error:  # the library would hide its message
            failures.append(error)
            raise

    signed = io.BytesIO()
    try:
        signer = Signer.from_callback(
            sign, C2paSigningAlg.ES256, key.certificates, timestamp_authority
        )
        with signer, Builder(manifest, _context()) as builder:
            builder.sign(signer, media_type, io.BytesIO(data), signed)
    except C2paError as error:
        if failures:
            raise failures[0] from error
        asked = f", with the timestamp of {timestamp_authority}" if timestamp_authority else ""
        raise SigningFailed(f"The {media_type} could not be signed{asked}: {error}") from error
    return signed.getvalue()


def read_media(data: bytes, media_type: MediaType, trusted: Sequence[str] = ()) -> Credentials:
    """Read and check the content credentials of a file. Safe for untrusted bytes.

    Args:
        data: The file.
        media_type: Its type.
        trusted: Certificates in PEM, of signers and the authorities that issued them.

    Raises:
        NotMarked: The file has no content credentials.
        MarkInvalid: It has some that cannot be read.
    """
    from c2pa import C2paError, Reader

    signers = TrustedSigners.of(trusted)
    try:
        with Reader(media_type, io.BytesIO(data), context=_context(signers.anchors)) as reader:
            found: dict[str, Any] = json.loads(reader.json())
    except (C2paError, ValueError) as error:
        if type(error).__name__.endswith("ManifestNotFound"):  # its class has no public name
            raise NotMarked("The file has no content credentials.") from error
        raise MarkInvalid(f"The file's content credentials cannot be read: {error}") from error
    manifest = found.get("manifests", {}).get(found.get("active_manifest"))
    if manifest is None:
        raise MarkInvalid("The file's content credentials have no manifest.")
    signature = manifest.get("signature_info") or {}
    results = (found.get("validation_results") or {}).get("activeManifest") or {}
    held = {(one["code"], one["url"].rpartition("/")[2]) for one in results.get("success", [])}
    is_signed = {"signingCredential.trusted", "claimSignature.validated"} <= {c for c, _ in held}
    key_id = signers.key_id(int(signature.get("cert_serial_number") or 0)) if is_signed else None
    codes = [one["code"] for one in results.get("failure", [])]
    codes += [one["code"] for one in found.get("validation_status") or []]
    told = {_UNKNOWN_SIGNER, *_EXPIRED}
    problems = tuple(dict.fromkeys(code for code in codes if code not in told))
    time = signature.get("time")
    return Credentials(
        clip=_statement(manifest) if (_AS_SIGNED, LABEL) in held else None,
        signer=str(signature.get("common_name") or signature.get("issuer") or ""),
        key_id=key_id,
        signed_at=datetime.fromisoformat(time) if time else None,
        is_expired=not _EXPIRED.isdisjoint(codes),
        problems=problems,
    )


def _statement(manifest: Mapping[str, Any]) -> ClipStatement | None:
    for assertion in manifest.get("assertions", []):
        if assertion.get("label") == LABEL:
            try:
                return ClipStatement.model_validate(assertion.get("data"))
            except ValidationError:
                return None
    return None


@lru_cache(maxsize=8)
def _context(trusted: str = "") -> Context:
    """Return the library's settings: nothing is fetched, and no preview goes into a manifest."""
    from c2pa import Context, Settings

    settings: dict[str, Any] = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    if trusted:
        settings["trust"] = {"user_anchors": trusted}
    return Context(settings=Settings.from_dict(settings))


def _concatenated(der: bytes) -> bytes:
    """Return a signature as its two numbers, 32 bytes each (COSE, RFC 9053 section 2.1)."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
