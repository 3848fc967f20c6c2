"""Files and folders that exist whole or not at all, also after a power cut.

A rename is atomic, but it may reach the disk before the content does, or not at all. So the content
is synced first, then the rename, then the folder that holds the name. Every write that must last
goes through this module, with the plain calls of `os`: a test records those calls, and plays each
beginning of them as a crash would leave it (docs/adr/0011-the-order-of-writes.md).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from pathlib import Path

UNFINISHED = ".unfinished"
"""Folder for folders that are being written, in a store whose folders appear whole."""

_DRAFT = re.compile(r"\.(.+)-[0-9a-f]{8}")
_OBSTORE_DRAFT = re.compile(r"(.+)#\d+")
"""Names under which obstore wrote before this module did; a killed server may have left some."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or replace the one of that name.

    The folder is created if it is missing.

    Raises:
        OSError: The file could not be written. A file that was at `path` before is unchanged.
    """
    make_folder(path.parent)
    draft = draft_path(path)
    try:
        write_synced(draft, content)
        draft.rename(path)
        sync(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_path(path: Path) -> Path:
    """Return a new hidden name beside `path`, to write to before `rename_synced`."""
    return path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")


def is_draft(name: str) -> bool:
    """Return True for the name of a file or folder that was not finished."""
    return finished_name(name) is not None


def finished_name(name: str) -> str | None:
    """Return the name that an unfinished file or folder was to get; None if this is none."""
    draft = _DRAFT.fullmatch(name) or _OBSTORE_DRAFT.fullmatch(name)
    return draft[1] if draft else None


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file, and return once its content is on the disk. Its name may not be yet.

    Raises:
        FileExistsError: There is a file of that name.
        OSError: The file could not be written; a part of it may be there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_synced(draft: Path, path: Path) -> None:
    """Move a finished file or folder to its place, and return once both are on the disk.

    Args:
        draft: A file, or a folder with everything in it, on the same file system as `path`.
        path: The new name. A file of that name is replaced; a folder must not exist.

    Raises:
        OSError: The disk is full or not mounted, or there is a folder at `path`.
    """
    if draft.is_dir():
        for entry in sorted(draft.rglob("*")):
            sync(entry)
    sync(draft)
    draft.rename(path)
    sync(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, and return once their names are on the disk.

    Raises:
        OSError: A folder could not be created, or there is a file of its name.
    """
    missing: list[Path] = []
    while not path.is_dir():
        missing.append(path)
        if path.parent == path:
            break
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)  # another thread may have been quicker
        sync(folder.parent)


def sync(path: Path) -> None:
    """Return once a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder: there a rename is as safe as they make it.
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def is_older(path: Path, time: float) -> bool:
    """Return True if a file or folder was last written to before `time`, in Unix seconds.

    False if it is gone.
    """
    try:
        return path.lstat().st_mtime < time
    except FileNotFoundError:
        return False


def remove_tree(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
