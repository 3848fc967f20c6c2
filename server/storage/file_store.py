"""The place of everything that a server stores beside its database: a data directory, or a bucket.

It gives blobs by the name of a folder (`encoders.blob_store`). Whoever reads and writes them does
not know which of the two it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from encoders.blob_store import BlobStore
from server.storage.storage_errors import StorageAway
from server.storage.unfinished_copy import UnfinishedCopy


class FileStore(ABC):
    """The folders of one server: those of `owned_names.MARKED_FOLDERS`, and `base-clips`."""

    by_attempt: bool
    """True if several servers can write to it, so that each attempt at a job needs a place of its
    own."""

    @abstractmethod
    def prepare(self, owner: Callable[[], str]) -> None:
        """Make the folders that were not made yet, and check that the store can be used.

        Args:
            owner: Returns the id of the database whose rows say what is in the store.

        Raises:
            StorageAway: The store, or a folder that was made earlier, is away just now.
            StoreUnfit: The store lacks what a server needs, or belongs to another database.
        """

    @abstractmethod
    def unfinished_copy(self) -> UnfinishedCopy | None:
        """Return the copy that was begun here and has not ended; None if there is none.

        Raises:
            StorageAway: The store is away just now.
        """

    @abstractmethod
    def begin_copy(self, copy: UnfinishedCopy) -> UnfinishedCopy:
        """Keep servers from the store from now on, and make its folders.

        Returns:
            The copy; or the one of another process that was quicker.

        Raises:
            ForeignDirectory: The directory is not empty, and no copy was begun in it.
            StoreUnfit: The same of a bucket; or it lacks what a server needs.
            StorageAway: The store is away just now.
        """

    @abstractmethod
    def end_copy(self, copy: UnfinishedCopy) -> None:
        """Give the store to servers on the copy's database."""

    @abstractmethod
    def blobs(self, folder: str) -> BlobStore:
        """Return the blobs of a folder, which `prepare` has made."""

    @abstractmethod
    def is_there(self) -> bool:
        """Return True if what is not found in the store is really absent."""

    @abstractmethod
    def left_before(self, now: float) -> float:
        """Return the Unix time before which unfinished files were left by somebody who is gone.

        Args:
            now: Unix seconds.
        """

    @property
    @abstractmethod
    def error(self) -> StorageAway | None:
        """The reason why the server is not ready: the store has been away; None if it is there."""

    @abstractmethod
    def start(self) -> None:
        """Look from now on whether the store is there."""

    @abstractmethod
    def close(self) -> None:
        """End the looks."""
