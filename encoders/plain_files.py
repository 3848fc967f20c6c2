"""Opening of files in folders where something else may stand in a file's place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePosixPath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
# Without O_NONBLOCK a pipe in the file's place would wait for its writer.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
_NO_FILE = {errno.ELOOP, errno.ENXIO, errno.ENODEV}
"""Errors of opening a link, a socket, or a device that has no driver."""


class NotAFile(Exception):
    """Error: there is a link, a folder, a pipe, a socket or a device in a file's place."""


def open_plain(root: Path, path: str) -> int:
    """Open a regular file below a root for reading, and return its descriptor.

    No link below the root is followed, neither the file nor a folder; the root itself may be one.
    It never waits for a writer.

    Args:
        root: The folder that holds everything.
        path: The file's path below the root, with slashes.

    Raises:
        FileNotFoundError: There is nothing at the path.
        NotADirectoryError: There is a file in the place of a folder.
        NotAFile: There is something else at the path, or a link in the place of a folder.
        OSError: The file cannot be read just now.
    """
    *folders, name = PurePosixPath(path).parts
    folder = os.open(root, _FOLDER)
    try:
        for part in folders:
            inner = _open(part, _FOLDER | os.O_NOFOLLOW, folder)
            os.close(folder)
            folder = inner
        descriptor = _open(name, _FILE, folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFile
    return descriptor


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except NotADirectoryError as error:  # a link to a folder too, on Linux
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise NotAFile from error
        raise
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NotAFile from error
        raise
