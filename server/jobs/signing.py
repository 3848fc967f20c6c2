"""Signing of what jobs make: a media file says that it was generated, and by which encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING

from encoders import Card
from marking.claim import Claim
from marking.errors import KeyUnavailable, SigningFailed
from marking.publication import PUBLICATION, make_publication
from marking.signing_key import SigningKey
from server.jobs.context import JobContext
from server.storage.records import EncoderRecord
from server.storage.video_files import FILE_NAMES, Variant
from unlearn.report.bundle import CARD_JSON, facts_of, published_digests
from unlearn.report.model import REPORT_JSON, Report

if TYPE_CHECKING:
    from marking.clip_statement import ClipStatement
    from marking.content_credentials import MediaType

log = logging.getLogger(__name__)

MEDIA_TYPES: Mapping[str, MediaType] = {
    ".mp4": "video/mp4",
    ".webp": "image/webp",
    ".png": "image/png",
}
"""Media type by a file name's ending."""


class MediaSigner:
    """Signs the files of one job. It waits while the key cannot sign, as jobs wait for storage.

    A timestamp authority that does not answer costs no work already done: the file is signed
    without its word, and says so by having none; the job's other files do not ask again.

    Args:
        context: The server's.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._authority = context.settings.timestamp_authority

    def sign(self, name: str, content: bytes, clip: ClipStatement) -> bytes:
        """Return a file with signed content credentials; its name's ending is its type.

        Raises:
            SigningFailed: The file cannot be signed.
        """
        from marking.content_credentials import sign_media

        media_type = MEDIA_TYPES[PurePath(name).suffix]
        return self._signed(
            name, lambda key, authority: sign_media(content, media_type, clip, key, authority)
        )

    def published(
        self, card: Card, files: Mapping[str, bytes], record: EncoderRecord
    ) -> dict[str, bytes]:
        """Return a report's files with the signed statement about them and the encoder.

        The record keeps the statement's hash, so that nobody replaces it on disk unnoticed.

        Args:
            card: The encoder's.
            files: The report's.
            record: The job that publishes the encoder, with the claim that it was made for.

        Raises:
            SigningFailed: The statement cannot be signed.
        """
        report = Report.model_validate_json(files[REPORT_JSON])
        claimed = None if record.claim is None else Claim.model_validate(record.claim).digest()
        digests, facts = published_digests(card, files), facts_of(report, card.identity, claimed)
        publication = self._signed(
            PUBLICATION, lambda key, authority: make_publication(digests, facts, key, authority)
        )
        digest = sha256(publication).hexdigest()
        self._context.storage.run(
            f"the publication of job {record.job_id}",
            lambda: self._context.records.change(record, publication=digest),
        )
        return {**files, CARD_JSON: card.to_json(), PUBLICATION: publication}

    def _signed(self, name: str, sign: Callable[[SigningKey, str | None], bytes]) -> bytes:
        def attempt() -> bytes:
            key = self._context.signing_keys.active()
            if self._authority is not None:
                try:
                    return sign(key, self._authority)
                except KeyUnavailable:
                    raise
                except SigningFailed as error:
                    log.warning("%s is signed without a timestamp: %s", name, error)
                    self._authority = None
            return sign(key, None)

        return self._context.storage.run(f"the signature of {name}", attempt)

    def sign_video(
        self, contents: Mapping[Variant, bytes], clip: ClipStatement
    ) -> dict[Variant, bytes]:
        """Return a video's files with signed content credentials."""
        return {
            variant: self.sign(FILE_NAMES[variant], content, clip)
            for variant, content in contents.items()
        }
