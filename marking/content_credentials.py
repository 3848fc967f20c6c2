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

if TYPE_CHECKING:
    from c2pa import Context

MediaType = Literal["video/mp4", "image/webp", "image/png"]

_CREATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's digital source type for what a generative model made."""
_UNKNOWN_SIGNER = "signingCredential.untrusted"
_AS_SIGNED = "assertion.hashedURI.match"
_COORDINATE_BYTES = 32


@dataclass(frozen=True)
class Credentials:
    """The content credentials of a file, as read and checked."""

    clip: ClipStatement | None
    """The clip's statement as it was signed; None: it was changed, or there is none."""
    signer: str
    """Name in the signer's certificate. Anybody can put any name there: see `is_trusted`."""
    serial_number: int
    """Serial number of the signer's certificate."""
    signed_at: datetime | None
    """Time by a timestamp authority, if the file has one's word for it."""
    is_trusted: bool
    """True if a certificate that the reader trusts stands behind the signature of the statement,
    whatever became of the rest of the file."""
    problems: tuple[str, ...]
    """C2PA's codes of what does not hold, such as `assertion.bmffHash.mismatch`; none: the file is
    as it was signed."""


def sign_media(
    data: bytes,
    media_type: MediaType,
    clip: ClipStatement,
    key: SigningKey,
    *,
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
        trusted: Certificates in PEM, of signers or their authorities.

    Raises:
        NotMarked: The file has no content credentials.
        MarkInvalid: It has some that cannot be read.
    """
    from c2pa import C2paError, Reader

    try:
        with Reader(media_type, io.BytesIO(data), context=_context("".join(trusted))) as reader:
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
    codes = [one["code"] for one in results.get("failure", [])]
    codes += [one["code"] for one in found.get("validation_status") or []]
    problems = tuple(dict.fromkeys(code for code in codes if code != _UNKNOWN_SIGNER))
    time = signature.get("time")
    return Credentials(
        clip=_statement(manifest) if (_AS_SIGNED, LABEL) in held else None,
        signer=str(signature.get("common_name") or signature.get("issuer") or ""),
        serial_number=int(signature.get("cert_serial_number") or 0),
        signed_at=datetime.fromisoformat(time) if time else None,
        is_trusted=is_signed,
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
