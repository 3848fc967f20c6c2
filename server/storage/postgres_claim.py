"""The claim of one server to a PostgreSQL database: a lock that a connection of its own holds."""

from __future__ import annotations

from threading import Lock
from typing import Any

import psycopg

from server.postgres_address import PostgresAddress
from server.storage.postgres_errors import PostgresErrors
from server.storage.storage_errors import StorageAway

_TRY = "SELECT pg_try_advisory_lock(5093402792)"


class UsedByAnother(StorageAway):
    """Error: another server works on the database."""


class ServerClaim:
    """The right to be the one server that works on a database. It ends with the process.

    Args:
        address: The database.
        errors: The words of its errors.
    """

    def __init__(self, address: PostgresAddress, errors: PostgresErrors) -> None:
        self._address = address
        self._errors = errors
        self._connection: psycopg.Connection[Any] | None = None
        self._taking = Lock()
        self.is_wanted = False
        """True once it was taken, until it is released."""

    def take(self) -> None:
        """Take the claim, or see that it is still held. A restarted PostgreSQL has lost it.

        Raises:
            UsedByAnother: Another server has it.
            StorageAway: The database cannot be reached.
        """
        self.is_wanted = True
        with self._taking, self._errors.explained():
            if self._connection is not None:
                try:
                    self._connection.execute("SELECT 1")
                    return
                except psycopg.Error:
                    self._connection.close()
                    self._connection = None
            connection = psycopg.connect(**self._address.options, autocommit=True)
            row = connection.execute(_TRY).fetchone()
            if row is None or not row[0]:
                connection.close()
                raise UsedByAnother(
                    f"{self._errors.subject} is used by another server: stop that one, or set "
                    "PALIMPSEST_DATABASE to another database."
                )
            self._connection = connection

    def release(self) -> None:
        """Let another server take it."""
        self.is_wanted = False
        with self._taking:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
