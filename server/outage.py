"""Outages of storage: errors that say nothing about the work, and pass when the storage is back.

A full disk, no file descriptors, a file system that is read-only or failing, a database that is
locked or away. Everything that has to tell such an error from a fault of the work asks here.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import sys
from typing import Any

from encoders.errors import PalimpsestError
from marking.errors import KeyUnavailable

_ERRNOS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EMFILE,
        errno.ENFILE,
        errno.EIO,
        errno.EROFS,
        errno.ESTALE,
        errno.ENXIO,
        errno.ENODEV,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EBUSY,
        errno.EAGAIN,
        errno.ENOMEM,
    }
)
_SQLITE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_POSTGRES_STATES = ("08", "25006", "25P", "40", "53", "55", "57", "58")
"""Beginnings of SQLSTATEs that pass: no connection, a standby, an ended transaction, no room,
a lock, a stop, a fault of the system."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_REMOTE = re.compile(r"HTTP error|error sending request|5\d\d [A-Z]|after \d+ retries")


class StorageFault(PalimpsestError):
    """Error: the storage cannot be used now. It may be once somebody has put it right."""

    code = "storage_unavailable"


def is_outage(error: BaseException) -> bool:
    """Return True if the error, or the one that it was raised from, is an outage of storage."""
    if isinstance(error, KeyUnavailable):  # a job waits for its signature as for storage
        return True
    seen: set[int] = set()  # an error that was raised by two threads can be its own cause
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if _is_outage_itself(cause):
            return True
        seen.add(id(cause))
        cause = cause.__cause__
    return False


def brief(error: BaseException) -> str:
    """Return one line about the error. It has no values of a statement, such as prompts."""
    found: Any = getattr(error, "orig", None) or error
    if _is_of_postgres(found) and _may_quote(found):
        return f"{type(found).__name__} (SQLSTATE {found.sqlstate})"
    return f"{type(found).__name__}: {str(found).splitlines()[0] if str(found) else 'no message'}"


def _is_outage_itself(error: BaseException) -> bool:
    if isinstance(error, StorageFault):
        return True
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError | TimeoutError) or error.errno in _ERRNOS
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _SQLITE_CODES  # the rest is an extended code
    if _is_of_postgres(error):
        return _is_postgres_away(error)
    # Not at the top: the process answers errors before it has imported these.
    from obstore.exceptions import BaseError
    from sqlalchemy import exc

    if isinstance(error, BaseError):
        # obstore gives the system's error as text only.
        found = _OS_ERROR.search(str(error))
        if found is not None:
            return int(found[1]) in _ERRNOS
        return _REMOTE.search(str(error)) is not None
    if isinstance(error, exc.TimeoutError):  # no connection of the pool became free
        return True
    if isinstance(error, exc.DBAPIError):
        if isinstance(error.orig, sqlite3.Error):
            return _is_outage_itself(error.orig)
        if _is_of_postgres(error.orig):
            return error.connection_invalidated or _is_postgres_away(error.orig)
        return error.connection_invalidated or isinstance(
            error, exc.OperationalError | exc.InterfaceError
        )
    return False


def _is_of_postgres(error: Any) -> bool:
    psycopg = sys.modules.get("psycopg")  # what is not imported has raised nothing
    return psycopg is not None and isinstance(error, psycopg.Error)


def _may_quote(error: Any) -> bool:
    """Return True if PostgreSQL's words about an error can quote a value, such as a prompt."""
    if error.sqlstate is None:  # of the client's own, those about the connection do not
        return not _is_postgres_away(error)
    return error.sqlstate.startswith(("22", "P0"))


def _is_postgres_away(error: Any) -> bool:
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_POSTGRES_STATES)
    # Those without a state are the client's: the connection was refused, or was lost.
    return type(error).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout")
