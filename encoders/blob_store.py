"""Named blobs: the few operations that the encoder store is built from.

A put is all or nothing, a create fails if the blob exists, and what a call has written survives a
power cut once the call returns. `encoders.open_blobs` gives a directory or an S3 bucket.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple


class TooLarge(Exception):
    """A blob is larger than its reader allows; carries its size in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class NotABlob(Exception):
    """Error: there is a link, a folder, a pipe or a device in a blob's place."""


class BlobInfo(NamedTuple):
    """One blob of a listing."""

    path: str
    last_modified: datetime


class BlobStore(ABC):
    """Blobs by path."""

    @abstractmethod
    def put_all(self, blobs: Mapping[str, bytes]) -> None:
        """Write blobs, each whole, replacing those that are there; in any order."""

    @abstractmethod
    def create(self, path: str, data: bytes) -> bool:
        """Write a blob if there is none at the path; return False if there is."""

    @abstractmethod
    def read(self, path: str, max_bytes: int) -> bytes | None:
        """Return a blob's content, or None if it does not exist.

        Raises:
            TooLarge: It is larger than `max_bytes`; nothing of it was read.
            NotABlob: Something else is in its place.
        """

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Return True if there is a blob at the path, or something else in its place."""

    @abstractmethod
    def version(self, path: str) -> Hashable | None:
        """Return a value that changes whenever the blob does, at less cost than reading it.

        None if there is no blob, or no such value.
        """

    @abstractmethod
    def remove(self, paths: Iterable[str]) -> None:
        """Remove blobs, and what is in a blob's place; skip those that do not exist."""

    @abstractmethod
    def walk(self, folder: str) -> Iterator[BlobInfo]:
        """Yield every blob below a folder, at any depth."""

    @abstractmethod
    def drafts(self, folder: str) -> Iterator[BlobInfo]:
        """Yield what killed writers left below a folder and `walk` does not show."""

    @abstractmethod
    def subfolders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """Keep others from being `alone` while blobs that belong together are written."""

    @abstractmethod
    def alone(self, *, wait: bool) -> AbstractContextManager[bool]:
        """Give True while nobody is `writing`, in this process or in another.

        Args:
            wait: Wait for those who are writing; otherwise the answer is False if there are any.
                It is also False where nobody can tell, such as on S3.
        """
