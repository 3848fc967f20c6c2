"""Errors of a storage that cannot be used, and the meaning of the system's errors in a folder."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from encoders import PalimpsestError
from server.outage import StorageFault

Cause = TypeVar("Cause", bound=BaseException)

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
def told_as(meaning_of: Callable[[Exception], Exception | None]) -> Generator[None]:
    """Raise the meaning of an error inside the block, from it.

    Args:
        meaning_of: Returns an error of this module; None to leave the error as it is. It is not
            asked about errors that have a meaning already.
    """
    try:
        yield
    except PalimpsestError:
        raise
    except Exception as error:
        found = meaning_of(error)
        if found is None:
            raise
        raise found from error


def explained(path: Path) -> AbstractContextManager[None]:
    """Turn the system's errors inside the block, about a file or folder, into one of this module's.

    Raises:
        DatabaseUnusable: An operator has to do something.
        StorageAway: Trying again may help.
    """
    return told_as(lambda error: meaning(path, error) if isinstance(error, OSError) else None)


def cause_of(error: BaseException | None, *kinds: type[Cause]) -> Cause | None:
    """Return the error of one of these kinds that another one comes from, or is."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, kinds):
            return error
        seen.add(id(error))
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
    return None


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
