"""Leftovers in a store: what publishers and deleters wrote before they were killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from encoders import layout
from encoders.blob_store import BlobStore


def remove_leftovers(
    blobs: BlobStore, kept: Callable[[str], tuple[str, ...]], older_than: timedelta
) -> list[str]:
    """Remove blobs that belong to no encoder, and return their paths.

    Only those that a store can have written: what has another name is left alone.

    Args:
        blobs: The store's.
        kept: Returns the path prefixes of the blobs that belong to the encoder of an id.
        older_than: Age from which a leftover is removed if somebody may be publishing just now.
    """
    with blobs.alone(wait=False) as alone:
        before = None if alone else datetime.now(UTC) - older_than
        prefixes: dict[str, tuple[str, ...]] = {}
        leftovers = [item for item in blobs.drafts("") if layout.is_draft_path(item.path)]
        for item in blobs.walk("encoders"):
            if not layout.is_path(item.path):
                continue
            encoder_id = item.path.split("/")[1]
            if encoder_id not in prefixes:
                prefixes[encoder_id] = kept(encoder_id)
            if not item.path.startswith(prefixes[encoder_id]):
                leftovers.append(item)
        due = [item.path for item in leftovers if before is None or item.last_modified < before]
        blobs.remove(due)
    return sorted(due)
