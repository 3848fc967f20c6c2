"""Named blobs in a directory or in S3: the few operations that the encoder store is built from.

obstore gives both the same semantics: a put is all or nothing, and a create fails if the blob
exists. Some servers that speak S3 ignore the second: on those, two publishers of one id are not
told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore, from_url


class TooLarge(Exception):
    """A blob is larger than its reader allows; carries its size in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class BlobInfo(NamedTuple):
    """One blob of a listing."""

    path: str
    last_modified: datetime


class BlobStore:
    """Blobs by path, in a directory or in an S3 bucket.

    Args:
        location: A directory, created if absent, or a URL such as `s3://bucket/prefix`.
    """

    def __init__(self, location: str | Path) -> None:
        if isinstance(location, str) and "://" in location:
            self._store: ObjectStore = from_url(location)
        else:
            url = Path(location).resolve().as_uri()
            self._store = from_url(url, mkdir=True, automatic_cleanup=True)

    def put(self, path: str, data: bytes) -> None:
        """Write a blob whole, replacing the one that was there atomically."""
        obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a blob if there is none at the path; return False if there is."""
        try:
            obstore.put(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """Return a blob's content, or None if it does not exist.

        Raises:
            TooLarge: It is larger than `max_bytes`; nothing of it was read.
        """
        try:
            result = obstore.get(self._store, path)
            if (size := result.meta["size"]) > max_bytes:
                raise TooLarge(size)
            return bytes(result.bytes())
        except FileNotFoundError:
            return None

    def exists(self, path: str) -> bool:
        """Return True if there is a blob at the path."""
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def remove(self, paths: Iterable[str]) -> None:
        """Remove blobs, in order; skip those that do not exist."""
        for path in paths:
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                continue

    def walk(self, folder: str) -> Iterator[BlobInfo]:
        """Yield every blob below a folder, at any depth."""
        for chunk in obstore.list(self._store, folder):
            for item in chunk:
                yield BlobInfo(item["path"], item["last_modified"])

    def subfolders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder."""
        listing = obstore.list_with_delimiter(self._store, folder)
        return [path.rsplit("/", 1)[-1] for path in listing["common_prefixes"]]
