"""Errors of a storage that cannot be used, and the meaning of the system's errors in a folder."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from encoders import PalimpsestError
from server.outage import StorageFault

_AWAY = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EIO,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.ESTALE,
}


class DatabaseUnusable(StorageFault):
    """Error: a database cannot be used until an operator has done something."""

    code = "load_failed"


class DatabaseDamaged(DatabaseUnusable):
    """Error: the content of the database cannot be used."""


class DatabaseUnopenable(DatabaseUnusable):
    """Error: the process may not open or write the database."""


class StorageAway(StorageFault):
    """Error: the storage cannot be used just now: it is full, locked or away. Try again."""

    code = "storage_unavailable"


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn the system's errors inside the block, about a file or folder, into one of this module's.

    Raises:
        DatabaseUnusable: An operator has to do something.
        StorageAway: Trying again may help.
    """
    try:
        yield
    except PalimpsestError:
        raise
    except OSError as error:
        raise meaning(path, error) from error


def meaning(path: Path, error: OSError) -> StorageAway | DatabaseUnopenable:
    """Return what an error of the system says about a file or folder."""
    if error.errno in _AWAY:
        return StorageAway(f"{path} cannot be used just now: {error.strerror}.")
    return unopenable(path, str(error.strerror))


def unopenable(path: Path, reason: str) -> DatabaseUnopenable:
    """Return the error for a file or folder that this user may not write."""
    return DatabaseUnopenable(
        f"{path} cannot be opened for writing ({reason}): give this user the right to read and "
        "write the file and its folder."
    )
