"""Signing of what jobs make: a media file says that it was generated, and by which encoder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from marking.errors import SigningFailed
from server.jobs.context import JobContext
from server.storage.video_files import FILE_NAMES, Variant

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


def signed_variants(
    context: JobContext, contents: Mapping[Variant, bytes], clip: ClipStatement
) -> dict[Variant, bytes]:
    """Return a video's files with signed content credentials."""
    return {
        variant: signed_file(context, FILE_NAMES[variant], content, clip)
        for variant, content in contents.items()
    }


def signed_file(context: JobContext, name: str, content: bytes, clip: ClipStatement) -> bytes:
    """Return a media file with signed content credentials; its name's ending is its type.

    A timestamp authority that does not answer costs no work already done: the file is signed
    without its word, and says so by having none.

    Raises:
        SigningFailed: The key could not sign.
    """
    from marking.content_credentials import sign_media

    media_type = MEDIA_TYPES[name[name.rindex(".") :]]
    key, authority = context.signing_keys.active(), context.settings.timestamp_authority
    if authority is not None:
        try:
            return sign_media(content, media_type, clip, key, timestamp_authority=authority)
        except SigningFailed as error:
            log.warning("%s is signed without a timestamp: %s", name, error)
    return sign_media(content, media_type, clip, key)
