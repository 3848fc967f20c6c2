"""The meaning of PostgreSQL's errors."""

from __future__ import annotations

from contextlib import AbstractContextManager

import psycopg

from encoders import PalimpsestError
from server.outage import brief, is_outage
from server.postgres_address import PostgresAddress
from server.storage.storage_errors import (
    DatabaseDamaged,
    DatabaseUnopenable,
    DatabaseUnusable,
    StorageAway,
    cause_of,
    told_as,
)

_NOT_ALLOWED = ("28", "3D", "3F", "42501")
"""Beginnings of SQLSTATEs of a user, database or right that is missing."""
_NO_TABLE = ("42P01", "42703")
_REMEDY = (
    "restore it from a backup (docs/OPERATIONS.md), or set PALIMPSEST_DATABASE to an empty one"
)


class PostgresErrors:
    """The words for the errors of one database, which never show its password.

    Args:
        address: The database.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self.name = f"the database {address.name}"

    def unusable(self, fault: str) -> DatabaseDamaged:
        """Return the error for a database whose content cannot be used."""
        return DatabaseDamaged(f"{self.subject} {fault}: {_REMEDY}.")

    def unopenable(self, reason: str) -> DatabaseUnopenable:
        """Return the error for a database that its user may not use."""
        return DatabaseUnopenable(
            f"{self.subject} cannot be used ({reason}): see that PALIMPSEST_DATABASE names the "
            "right database and user, and that this user may create tables and schemas in it."
        )

    def damage(self, error: BaseException) -> DatabaseUnusable | None:
        """Return the error for a database that lacks a table, if this error says that it does."""
        cause = cause_of(error, psycopg.Error)
        if cause is None or (cause.sqlstate or "") not in _NO_TABLE:
            return None
        return self.unusable(f"is damaged ({self._reason(cause)})")

    def explained(self) -> AbstractContextManager[None]:
        """Turn PostgreSQL's errors inside the block into those of `storage_errors`.

        Raises:
            DatabaseUnusable: An operator has to do something.
            StorageAway: Trying again may help.
        """
        return told_as(self._meaning)

    def _meaning(self, error: Exception) -> PalimpsestError | None:
        cause = cause_of(error, psycopg.Error)
        if cause is None:
            return None
        reason = self._reason(cause)
        if (cause.sqlstate or "").startswith(_NOT_ALLOWED):
            return self.unopenable(reason)
        if is_outage(error):
            return StorageAway(f"{self.subject} cannot be used just now: {reason}.")
        return self.damage(error) or self.unusable(f"cannot be used ({reason})")

    @property
    def subject(self) -> str:
        """The name, as a sentence begins with it."""
        return self.name[:1].upper() + self.name[1:]

    def _reason(self, cause: psycopg.Error) -> str:
        return self._address.scrubbed(brief(cause)).rstrip(".")
