"""Files and folders that exist whole or not at all, also after a power cut.

A rename is atomic, but it may reach the disk before the content does, or not at all. So the content
is synced first, then the rename, then the folder that holds the name.
"""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or replace the one of that name.

    The folder is created if it is missing.

    Raises:
        OSError: The file could not be written. A file that was at `path` before is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_path(path)
    try:
        draft.write_bytes(content)
        rename_synced(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_path(path: Path) -> Path:
    """Return a new hidden name beside `path`, to write to before `rename_synced`."""
    return path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")


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
            _sync(entry)
    _sync(draft)
    draft.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder: there a rename is as safe as they make it.
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
