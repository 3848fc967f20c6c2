"""Named blobs: the few operations that everything is built from that is stored in files.

A put is all or nothing, a create fails if the blob exists, and what a call has written survives a
power cut once the call returns. `encoders.open_blobs` gives a directory or an S3 bucket.

Where a store can be away, every method raises OSError while it is: nothing is taken for absent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class TooLarge(Exception):
    """A blob is larger than its reader allows; carries its size in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class NotABlob(Exception):
    """Error: there is a link, a folder, a pipe or a device in a blob's place."""


class StoreUnreachable(ConnectionError):
    """Error: the store cannot be used just now, which says nothing about what is in it."""


class BlobInfo(NamedTuple):
    """One blob of a listing."""

    path: str
    last_modified: datetime
    size: int
    """Bytes."""


class OpenBlob(ABC):
    """A blob that is being read. It never changes; close it, or use it in a `with` block."""

    size: int
    """Bytes."""
    last_modified: datetime
    piece_bytes: int
    """Bytes that are best read at a time: a read can be a request to a server."""

    @abstractmethod
    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from the place `start`, or fewer where the blob ends.

        Raises:
            OSError: They cannot be read just now, or the blob was removed from a store that does
                not keep what is open.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the blob. A second call does nothing."""

    def __enter__(self) -> Self:
        """Return the blob."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the blob."""
        self.close()


class BlobStore(ABC):
    """Blobs by path."""

    @abstractmethod
    def put_all(self, blobs: Mapping[str, bytes]) -> None:
        """Write blobs, each whole, replacing those that are there; in any order."""

    @abstractmethod
    def put_folder(self, folder: str, blobs: Mapping[str, bytes]) -> None:
        """Write a folder of blobs, in place of all that was in it.

        A reader that finds the last of the blobs finds all of them. A directory shows none before.

        Args:
            folder: The folder's path.
            blobs: Path inside the folder → content, in the order of writing.
        """

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
    def open(self, path: str) -> OpenBlob | None:
        """Open a blob for reads of its parts; return None if it does not exist.

        Raises:
            NotABlob: Something else is in its place.
        """

    @abstractmethod
    def signed_url(self, path: str, seconds: int) -> str | None:
        """Return a URL at which anybody can read a blob for some time, at the store itself.

        None where the store has no such URLs. Nobody looks whether the blob exists.
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
    def remove_folder(self, folder: str) -> None:
        """Remove everything below a folder, unfinished blobs too; nothing if there is none."""

    @abstractmethod
    def touch(self, path: str) -> None:
        """Make a blob young in `walk` without writing it, in a store that can: it was used."""

    @abstractmethod
    def walk(self, folder: str) -> Iterator[BlobInfo]:
        """Yield every blob below a folder, at any depth."""

    @abstractmethod
    def drafts(self, folder: str) -> Iterator[BlobInfo]:
        """Yield what killed writers left below a folder and `walk` does not show."""

    @abstractmethod
    def subfolders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder."""

    def each(self, look: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
        """Return `look(item)` of each item, in order; several at a time if each is a request."""
        return [look(item) for item in items]

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
