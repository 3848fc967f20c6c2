"""Leftovers in a store: what publishers and deleters wrote before they were killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from encoders import layout
from encoders.blob_store import BlobInfo, BlobStore


def remove_leftovers(
    blobs: BlobStore, kept: Callable[[str], tuple[str, ...]], older_than: timedelta
) -> list[str]:
    """Remove blobs that belong to no encoder, and return their paths.

    Only those that a store can have written: what has another name is left alone.

    Args:
        blobs: The store's.
        kept: Returns the path prefixes of the blobs that belong to the encoder of an id. It may be
            called on several threads.
        older_than: Age from which a leftover is removed if somebody may be publishing just now.
    """
    with blobs.alone(wait=False) as alone:
        before = None if alone else datetime.now(UTC) - older_than
        leftovers = [item for item in blobs.drafts("") if layout.is_draft_path(item.path)]
        # Listed first: a blob that is written from now on may belong to a card that comes later.
        items = [item for item in blobs.walk("encoders") if layout.is_path(item.path)]
        ids = sorted({_encoder_id(item) for item in items})
        prefixes = dict(zip(ids, blobs.each(kept, ids), strict=True))
        leftovers += [
            item for item in items if not item.path.startswith(prefixes[_encoder_id(item)])
        ]
        due = [item.path for item in leftovers if before is None or item.last_modified < before]
        blobs.remove(due)
    return sorted(due)


def _encoder_id(item: BlobInfo) -> str:
    return item.path.split("/")[1]
