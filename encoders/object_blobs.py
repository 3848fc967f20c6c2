"""Named blobs in S3, or in another store that obstore knows.

Some servers that speak S3 ignore the condition of a create: on those, two publishers of one id are
not told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import from_url

from encoders.blob_store import BlobInfo, BlobStore, TooLarge


class ObjectBlobs(BlobStore):
    """Blobs by path, as objects below a URL such as `s3://bucket/prefix`."""

    def __init__(self, url: str) -> None:
        self._store = from_url(url)

    def put_all(self, blobs: Mapping[str, bytes]) -> None:
        for path, data in blobs.items():
            obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        try:
            obstore.put(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def read(self, path: str, max_bytes: int) -> bytes | None:
        try:
            result = obstore.get(self._store, path)
            if (size := result.meta["size"]) > max_bytes:
                raise TooLarge(size)
            return bytes(result.bytes())
        except FileNotFoundError:
            return None

    def exists(self, path: str) -> bool:
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def version(self, path: str) -> None:
        return None  # a question about a small blob costs as much as the blob

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                continue

    def walk(self, folder: str) -> Iterator[BlobInfo]:
        for chunk in obstore.list(self._store, folder):
            for item in chunk:
                yield BlobInfo(item["path"], item["last_modified"])

    def drafts(self, folder: str) -> Iterator[BlobInfo]:
        return iter(())  # parts of an unfinished upload are no objects; a bucket's rule ends them

    def subfolders(self, folder: str) -> list[str]:
        listing = obstore.list_with_delimiter(self._store, folder)
        return [path.rsplit("/", 1)[-1] for path in listing["common_prefixes"]]

    def writing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def alone(self, *, wait: bool) -> AbstractContextManager[bool]:
        return nullcontext(False)
