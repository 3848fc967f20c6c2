"""Named blobs in a directory or in S3: the few operations that the encoder store is built from.

obstore gives both the same meaning: a put is all or nothing, and a create fails if the object is
there. Some servers that speak S3 ignore the latter; two publishers are not told apart on those.
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
    """An object is larger than its reader allows; carries its size in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Listed(NamedTuple):
    """One object of a listing."""

    path: str
    last_modified: datetime


class Objects:
    """Args:
    location: a directory, created if absent, or a URL such as ``s3://bucket/prefix``.
    """

    def __init__(self, location: str | Path) -> None:
        if isinstance(location, str) and "://" in location:
            self._store: ObjectStore = from_url(location)
        else:
            url = Path(location).resolve().as_uri()
            self._store = from_url(url, mkdir=True, automatic_cleanup=True)

    def put(self, path: str, data: bytes) -> None:
        """Write an object whole, replacing what was there atomically."""
        obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object if there is none; False if there is."""
        try:
            obstore.put(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """An object's content, or None if it does not exist.

        Raises:
            TooLarge: before any of it is read.
        """
        try:
            result = obstore.get(self._store, path)
            if (size := result.meta["size"]) > max_bytes:
                raise TooLarge(size)
            return bytes(result.bytes())
        except FileNotFoundError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def remove(self, paths: Iterable[str]) -> None:
        """Remove objects, in order; those already gone are passed over."""
        for path in paths:
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                continue

    def under(self, folder: str) -> Iterator[Listed]:
        """Every object below a folder, however deep."""
        for chunk in obstore.list(self._store, folder):
            for item in chunk:
                yield Listed(item["path"], item["last_modified"])

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder."""
        listing = obstore.list_with_delimiter(self._store, folder)
        return [path.rsplit("/", 1)[-1] for path in listing["common_prefixes"]]
