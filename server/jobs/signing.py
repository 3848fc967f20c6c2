"""Signing of what jobs make: a media file says that it was generated, and by which encoder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from encoders import Card
from marking.claim import Claim
from marking.errors import SigningFailed
from marking.publication import PUBLICATION, make_publication
from marking.signing_key import SigningKey
from server.jobs.context import JobContext
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


@dataclass(frozen=True)
class MediaSigner:
    """Signs the media files of one job."""

    key: SigningKey
    timestamp_authority: str | None

    @classmethod
    def of(cls, context: JobContext) -> MediaSigner:
        """Return the signer with the key that signs now; wait while the database is out.

        Raises:
            SigningKeyInvalid: There is none.
        """
        key = context.storage.run("the signing key", context.signing_keys.active)
        return cls(key, context.settings.timestamp_authority)

    def sign(self, name: str, content: bytes, clip: ClipStatement) -> bytes:
        """Return a file with signed content credentials; its name's ending is its type.

        A timestamp authority that does not answer costs no work already done: the file is signed
        without its word, and says so by having none.

        Raises:
            SigningFailed: The key could not sign.
        """
        from marking.content_credentials import sign_media

        media_type = MEDIA_TYPES[PurePath(name).suffix]
        if self.timestamp_authority is not None:
            try:
                return sign_media(
                    content,
                    media_type,
                    clip,
                    self.key,
                    timestamp_authority=self.timestamp_authority,
                )
            except SigningFailed as error:
                log.warning("%s is signed without a timestamp: %s", name, error)
        return sign_media(content, media_type, clip, self.key)

    def published(
        self, card: Card, files: Mapping[str, bytes], claim: Mapping[str, Any] | None
    ) -> dict[str, bytes]:
        """Return a report's files with the signed statement about them and the encoder.

        Args:
            card: The encoder's.
            files: The report's.
            claim: Who asked for the encoder, as its record has it.

        Raises:
            SigningFailed: The key could not sign.
        """
        report = Report.model_validate_json(files[REPORT_JSON])
        claimed = None if claim is None else Claim.model_validate(claim).digest()
        digests, facts = published_digests(card, files), facts_of(report, card.identity, claimed)
        files = {**files, CARD_JSON: card.to_json()}
        if (authority := self.timestamp_authority) is not None:
            try:
                stamped = make_publication(digests, facts, self.key, timestamp_authority=authority)
                return {**files, PUBLICATION: stamped}
            except SigningFailed as error:
                log.warning("%s is published without a timestamp: %s", card.id, error)
        return {**files, PUBLICATION: make_publication(digests, facts, self.key)}

    def sign_video(
        self, contents: Mapping[Variant, bytes], clip: ClipStatement
    ) -> dict[Variant, bytes]:
        """Return a video's files with signed content credentials."""
        return {
            variant: self.sign(FILE_NAMES[variant], content, clip)
            for variant, content in contents.items()
        }
