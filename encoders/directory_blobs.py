"""Named blobs in a local directory. What a call has written is on the disk when it returns."""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from encoders.atomic_files import (
    UNFINISHED,
    draft_path,
    is_draft,
    make_folder,
    remove_tree,
    sync,
    write_synced,
)
from encoders.blob_store import BlobInfo, BlobStore, NotABlob, OpenBlob, TooLarge
from encoders.folder_marker import check_marked
from encoders.plain_files import NotAFile, open_plain

_NOT_LOCKED = {errno.EWOULDBLOCK, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
T = TypeVar("T")

_TRIES = 10
"""Attempts at a write whose folder is removed meanwhile: a deleter removes the empty ones."""


class DirectoryBlobs(BlobStore):
    """Blobs by path, as files below a directory, which is created if it is absent.

    A file is written under a hidden name beside its place, synced, and renamed or linked to it.
    Then its folder is synced, and every folder between that and the directory. A folder that is to
    appear whole is written in `.unfinished/`.

    Args:
        root: The directory.
        is_marked: True for a directory that has a marker (`encoders.folder_marker`). It is not
            created, and if it is away, calls raise OSError: nothing is taken for absent.
    """

    def __init__(self, root: Path, *, is_marked: bool = False) -> None:
        self._root = root.resolve()
        self._is_marked = is_marked
        if is_marked:
            check_marked(self._root)
        else:
            make_folder(self._root)

    def put_all(self, blobs: Mapping[str, bytes]) -> None:
        places = {path: self._root / path for path in blobs}
        for path, data in blobs.items():
            self._write(places[path], data, os.rename)
        self._sync_folders(place.parent for place in places.values())

    def put_folder(self, folder: str, blobs: Mapping[str, bytes]) -> None:
        place = self._root / folder
        draft = self._root / UNFINISHED / uuid.uuid4().hex
        self._check_there()  # or it would be written where the directory is to come back
        draft.mkdir(parents=True)
        try:
            for name, data in blobs.items():
                write_synced(draft / name, data)
            sync(draft)
            make_folder(place.parent)
            remove_tree(place)
            draft.rename(place)
            self._sync_folders([place.parent])
        finally:
            remove_tree(draft)

    def create(self, path: str, data: bytes) -> bool:
        place = self._root / path
        try:
            self._write(place, data, os.link)  # unlike a rename, a link never replaces a file
        except FileExistsError:
            return False
        self._sync_folders([place.parent])
        return True

    def read(self, path: str, max_bytes: int) -> bytes | None:
        return self._found(lambda: self._read(path, max_bytes))

    def _read(self, path: str, max_bytes: int) -> bytes | None:
        blob = self._open(path)
        if blob is None:
            return None
        with blob:
            if blob.size > max_bytes:
                raise TooLarge(blob.size)
            return blob.read(0, blob.size)

    def open(self, path: str) -> OpenBlob | None:
        return self._found(lambda: self._open(path))

    def _open(self, path: str) -> OpenBlob | None:
        try:
            return _OpenFile(open_plain(self._root, path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NotAFile as error:
            raise NotABlob from error

    def signed_url(self, path: str, seconds: int) -> str | None:
        return None

    def exists(self, path: str) -> bool:
        return bool(self._found(lambda: os.path.lexists(self._root / path)))

    def version(self, path: str) -> tuple[int, ...] | None:
        try:
            status = os.lstat(self._root / path)  # no link is read
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def remove(self, paths: Iterable[str]) -> None:
        folders: dict[Path, None] = {}
        for path in paths:
            place = self._root / path
            remove_tree(place)
            folders[place.parent] = None
        for folder in folders:
            self._remove_empty(folder)

    def remove_folder(self, folder: str) -> None:
        self.remove([folder])

    def touch(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.utime(self._root / path)

    def walk(self, folder: str) -> Iterator[BlobInfo]:
        for path, name in self._files(folder):
            if not is_draft(name):
                yield from self._info(path)

    def drafts(self, folder: str) -> Iterator[BlobInfo]:
        for path, name in self._files(folder):
            if is_draft(name):
                yield from self._info(path)
        if not folder and (unfinished := self._root / UNFINISHED).is_dir():
            for path in unfinished.iterdir():
                yield from self._info(path)

    def subfolders(self, folder: str) -> list[str]:
        return self._found(lambda: self._subfolders(folder))

    def _subfolders(self, folder: str) -> list[str]:
        try:
            with os.scandir(self._root / folder) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except FileNotFoundError:
            return []

    def _found(self, look: Callable[[], T]) -> T:
        """Return what `look` returns. It may be nothing only while the directory is there."""
        found = look()
        if not found and self._is_marked:
            check_marked(self._root)
            found = look()  # the directory may have come back in between
            if not found:
                check_marked(self._root)
        return found

    def _check_there(self) -> None:
        if self._is_marked:
            check_marked(self._root)

    @contextmanager
    def writing(self) -> Generator[None]:
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self, *, wait: bool) -> Generator[bool]:
        with self._locked(fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)) as locked:
            yield locked

    @contextmanager
    def _locked(self, kind: int) -> Generator[bool]:
        """Lock the directory itself, which the system unlocks if the process is killed.

        False if it is locked by another, or on a file system that has no locks.
        """
        self._check_there()
        descriptor = os.open(self._root, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, kind)
            except OSError as error:
                if error.errno not in _NOT_LOCKED:
                    raise
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _write(self, place: Path, data: bytes, publish: Callable[[Path, Path], None]) -> None:
        """Write a file beside its place, sync it, and give it its name by `publish`."""
        for attempt in range(_TRIES):
            self._check_there()  # or it would be written where the directory is to come back
            make_folder(place.parent)
            draft = draft_path(place)
            try:
                write_synced(draft, data)
                publish(draft, place)
                return
            except FileNotFoundError:  # a deleter found the folder empty, and removed it
                if attempt == _TRIES - 1:
                    raise
            finally:
                draft.unlink(missing_ok=True)

    def _sync_folders(self, folders: Iterable[Path]) -> None:
        """Sync folders and all between them and the root, which a killed writer may have made."""
        found: set[Path] = set()
        for folder in folders:
            while folder not in found:
                found.add(folder)
                if folder == self._root:
                    break
                folder = folder.parent
        for folder in sorted(found, key=lambda one: len(one.parts), reverse=True):
            sync(folder)

    def _remove_empty(self, folder: Path) -> None:
        """Sync a folder from which a name was removed, and remove it and its parents if empty."""
        with suppress(FileNotFoundError):
            sync(folder)
        while folder not in (self._root, self._root / UNFINISHED):
            try:
                folder.rmdir()
            except OSError:  # it is not empty
                return
            folder = folder.parent

    def _files(self, folder: str) -> Iterator[tuple[Path, str]]:
        self._check_there()
        for parent, folders, names in os.walk(self._root / folder):
            if UNFINISHED in folders:
                folders.remove(UNFINISHED)
            yield from ((Path(parent, name), name) for name in names)

    def _info(self, path: Path) -> Iterator[BlobInfo]:
        with suppress(FileNotFoundError):  # removed since it was listed
            found = path.lstat()
            modified = datetime.fromtimestamp(found.st_mtime, UTC)
            yield BlobInfo(path.relative_to(self._root).as_posix(), modified, found.st_size)


class _OpenFile(OpenBlob):
    """An open file: it stays readable if it is removed meanwhile."""

    piece_bytes = 64 << 10

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        found = os.fstat(descriptor)
        self.size = found.st_size
        self.last_modified = datetime.fromtimestamp(found.st_mtime, UTC)

    def read(self, start: int, length: int) -> bytes:
        found = bytearray()
        while piece := os.pread(self._descriptor, length - len(found), start + len(found)):
            found += piece
        return bytes(found)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
