"""Blobs at a location: a directory, or a URL."""

from __future__ import annotations

from pathlib import Path

from encoders.blob_store import BlobStore
from encoders.directory_blobs import DirectoryBlobs


def open_blobs(location: str | Path | BlobStore, *, is_marked: bool = False) -> BlobStore:
    """Return the blobs at a location.

    Args:
        location: A directory, created if absent, a URL such as `s3://bucket/prefix`, or blobs,
            which are returned.
        is_marked: True for a location with a marker, which is expected to be there.
    """
    if isinstance(location, BlobStore):
        return location
    if isinstance(location, str) and "://" in location:
        from encoders.object_blobs import ObjectBlobs

        return ObjectBlobs(location, is_marked=is_marked)
    return DirectoryBlobs(Path(location), is_marked=is_marked)
