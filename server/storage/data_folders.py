"""The folders of a data directory, as a server's store of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from encoders.atomic_files import sync, write_atomically
from encoders.blob_store import BlobStore
from encoders.directory_blobs import DirectoryBlobs
from encoders.folder_marker import is_marked
from server.storage import stored_folders
from server.storage.file_store import FileStore
from server.storage.owned_names import BASE_CLIPS, COPYING, MARKED_FOLDERS, check_empty
from server.storage.unfinished_copy import UnfinishedCopy

DRAFT_AGE_S = 3600.0
"""Age from which an unfinished file is a leftover, if its writer may still be running."""


class DataFolders(FileStore):
    """The folders of a data directory, which one server has at a time.

    Their looks are those of the database, which lies beside them.
    """

    by_attempt = False

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folders = stored_folders.folders_of(data_dir)
        self._blobs: dict[str, BlobStore] = {}

    def prepare(self, owner: Callable[[], str]) -> None:
        stored_folders.prepare(self._data_dir)
        for folder in (*MARKED_FOLDERS, BASE_CLIPS):  # opening one that is away is an error
            self.blobs(folder)

    def unfinished_copy(self) -> UnfinishedCopy | None:
        try:
            return UnfinishedCopy.parsed((self._data_dir / COPYING).read_bytes())
        except FileNotFoundError:
            return None

    def begin_copy(self, copy: UnfinishedCopy) -> UnfinishedCopy:
        begun = self.unfinished_copy()
        if begun is None:
            check_empty(self._data_dir)
            write_atomically(self._data_dir / COPYING, copy.content())
        stored_folders.prepare(self._data_dir)
        return begun or copy

    def end_copy(self, copy: UnfinishedCopy) -> None:
        (self._data_dir / COPYING).unlink(missing_ok=True)
        sync(self._data_dir)

    def blobs(self, folder: str) -> BlobStore:
        if folder not in self._blobs:
            place, is_marked = self._data_dir / folder, folder in MARKED_FOLDERS
            self._blobs[folder] = DirectoryBlobs(place, is_marked=is_marked)
        return self._blobs[folder]

    def is_there(self) -> bool:
        try:
            return all(map(is_marked, self._folders))
        except OSError:
            return False

    def left_before(self, now: float) -> float:
        return max(now - DRAFT_AGE_S, self._locked_at())

    @property
    def error(self) -> None:
        return None

    def start(self) -> None:
        return

    def close(self) -> None:
        return

    def _locked_at(self) -> float:
        """Return the start of this server by the clock of the data's own file system.

        The data directory is locked, so whatever is older was left by an earlier server.
        """
        try:
            return (self._data_dir / "server.lock").stat().st_mtime
        except FileNotFoundError:
            return 0.0
