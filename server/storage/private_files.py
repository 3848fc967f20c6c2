"""Stored data is for the server's user alone: files 0600, folders 0700, whatever the umask."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from server.storage.owned_names import owned

log = logging.getLogger(__name__)

UMASK = 0o077
"""Umask of processes that write stored data: no rights for the group and for others."""


@contextmanager
def private() -> Generator[None]:
    """Make files and folders private inside the block. It holds for every thread."""
    before = os.umask(UMASK)
    try:
        yield
    finally:
        os.umask(before)


def tighten(data_dir: Path) -> int:
    """Take the rights of the group and of others from what the server made in a data directory.

    Earlier versions gave them. Files with other names than the server's are left alone
    (`server.storage.owned_names`), and so are links and what belongs to another user.

    Returns:
        The number of files and folders that were changed.
    """
    changed = sum(_tighten(path) for path in owned(data_dir))
    if changed:
        log.info("%d files and folders in %s are private from now on", changed, data_dir)
    return changed


def _tighten(path: Path) -> bool:
    try:
        found = path.lstat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return False
        if not found.st_mode & UMASK or found.st_uid != os.getuid():
            return False
        path.chmod(stat.S_IMODE(found.st_mode) & ~UMASK)
    except FileNotFoundError:  # removed meanwhile
        return False
    except OSError as error:
        log.warning("%s stays readable for others: %s", path, error.strerror)
        return False
    return True
