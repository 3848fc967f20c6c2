"""Signed zips: a report's files with the statement about them, of which no byte can be changed.

The statement holds every file's digest. A zip has bytes besides its files; so there is one zip for
given files, and whoever checks it makes it again and compares: entries are stored uncompressed in
the order of their names, with the report's date.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from marking.errors import MarkInvalid, NotMarked
from marking.publication import PUBLICATION, Publication, read_publication
from marking.report_statement import ReportFacts, sign_report, verify_report
from marking.signing_key import SigningKey, certificate_of, key_id_of
from marking.trust import TrustedSigners, signer_name

STATEMENT = "statement.dsse.json"
CERTIFICATES = "certificates.pem"
ELSEWHERE = "encoder:"
"""Beginning of the names of files that a statement is about and the zip does not hold."""
MAX_FILES = 1000
"""Most files of a zip that is read."""


@dataclass(frozen=True)
class SignedZip:
    """A signed report, as read and checked: all of it is as it was signed."""

    facts: ReportFacts
    key_id: str
    """`sha256:…` over the signer's certificate."""
    signer: str
    """Name in the signer's certificate. Anybody can put any name there: see `is_trusted`."""
    is_trusted: bool
    """True if the reader trusts the signer, and the publication's."""
    publication: Publication | None
    """The statement that was signed when the encoder was published; None: the zip has none."""


def make_signed_zip(
    files: Mapping[str, bytes],
    facts: ReportFacts,
    key: SigningKey,
    *,
    elsewhere: Mapping[str, str],
) -> bytes:
    """Make the zip of a report's files, with a signed statement about them.

    Args:
        files: Name → content.
        facts: What the report stands for.
        key: The operator's.
        elsewhere: Name → SHA-256 in hex of the encoder's files, which the zip does not hold.

    Raises:
        SigningFailed: The key could not sign.
    """
    content = {**files, CERTIFICATES: key.certificates.encode()}
    digests = {name: sha256(data).hexdigest() for name, data in content.items()}
    digests |= {ELSEWHERE + name: digest for name, digest in elsewhere.items()}
    envelope = sign_report(digests, facts, key)
    content[STATEMENT] = _json(envelope)
    return _zip(content, facts.reported_at)


def read_signed_zip(data: bytes, trusted: Sequence[str] = ()) -> SignedZip:
    """Check a report's zip, every byte of it. Safe for untrusted bytes.

    Args:
        data: The zip.
        trusted: Certificates in PEM, of signers or their authorities.

    Raises:
        NotMarked: It is a zip without a signed statement.
        MarkInvalid: It is no zip, or something in it is not as it was signed.
    """
    content = _unzip(data)
    if STATEMENT not in content or CERTIFICATES not in content:
        raise NotMarked(f"The zip has no signed statement ({STATEMENT}, {CERTIFICATES}).")
    try:
        certificates = content[CERTIFICATES].decode()
        envelope = json.loads(content[STATEMENT])
    except ValueError as error:
        raise MarkInvalid(f"The zip's statement cannot be read: {error}") from error
    leaf = certificate_of(certificates)
    digests, facts = verify_report(envelope, certificates)
    for name, file in content.items():
        if name == STATEMENT:
            continue
        if name not in digests:
            raise MarkInvalid(f"The file {name!r} was added: the signed statement has no such one.")
        if digests[name] != sha256(file).hexdigest():
            raise MarkInvalid(f"The file {name!r} was changed: it is not the one that was signed.")
    missing = sorted(n for n in digests if n not in content and not n.startswith(ELSEWHERE))
    if missing:
        raise MarkInvalid(f"The file {missing[0]!r} is missing from the zip.")
    if content[STATEMENT] != _json(envelope) or _zip(content, facts.reported_at) != data:
        raise MarkInvalid("The zip itself was changed, though its files are as they were signed.")
    publication = None
    if PUBLICATION in content:
        publication = read_publication(content[PUBLICATION], trusted)
        _check_published(publication, digests)
    return SignedZip(
        facts=facts,
        key_id=key_id_of(leaf),
        signer=signer_name(leaf),
        is_trusted=TrustedSigners.of(trusted).knows(leaf)
        and (publication is None or publication.is_trusted),
        publication=publication,
    )


def _check_published(publication: Publication, digests: Mapping[str, str]) -> None:
    """Raise MarkInvalid for a file that is not the one that was published."""
    for name, digest in publication.digests.items():
        if digests.get(name) != digest:
            raise MarkInvalid(
                f"The file {name!r} is not the one that was signed when the encoder was published."
            )


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode()


def _zip(content: Mapping[str, bytes], date: datetime) -> bytes:
    """Make the one zip of these files."""
    written = io.BytesIO()
    # A zip knows no other times.
    made = min(max(date.timetuple()[:6], (1980, 1, 1, 0, 0, 0)), (2107, 1, 1, 0, 0, 0))
    with ZipFile(written, "w", ZIP_STORED) as file:
        for name in sorted(content):
            entry = ZipInfo(name, made)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content[name])
    return written.getvalue()


def _unzip(data: bytes) -> dict[str, bytes]:
    try:
        with ZipFile(io.BytesIO(data)) as file:
            entries = file.infolist()
            # Entries that are compressed, or lie over each other, hold more than the zip is large.
            size = sum(entry.file_size for entry in entries)
            is_stored = all(entry.compress_type == ZIP_STORED for entry in entries)
            if len(entries) > MAX_FILES or size > len(data) or not is_stored:
                raise NotMarked("The zip is not one that this project signs.")
            return {entry.filename: file.read(entry) for entry in entries}
    except (BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, NotMarked):
            raise
        raise MarkInvalid(f"The zip cannot be read, so it was changed: {error}") from error
