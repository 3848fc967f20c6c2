"""Keys in a PostgreSQL database, read with nothing but psycopg."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.errors import UndefinedTable

from server.outage import brief, is_outage
from server.postgres_address import PostgresAddress
from server.storage.stored_keys import (
    COLUMNS,
    KeysDamaged,
    KeysUnreadable,
    KeyTableAbsent,
)

_NAMES = (*COLUMNS, "additions")
_QUERY = f"SELECT {', '.join(_NAMES)}, revoked_at FROM keys ORDER BY id"


class PostgresKeys:
    """Reads every key that was ever made, each with True if it was revoked.

    BentoML's parent reads them once. Who reads them again keeps a connection for it.

    Args:
        address: The database.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._connection: psycopg.Connection[Any] | None = None
        self._has_read = False

    def __call__(self) -> Sequence[tuple[dict[str, Any], bool]]:
        """Return the keys.

        Raises:
            KeyTableAbsent: The database has no table of keys: it has none, unless it had some.
            KeysUnreadable: It cannot be reached or read.
            KeysDamaged: Nor can it be later, as it is.
        """
        try:
            rows = self._read()
        except UndefinedTable:
            self._close()
            raise KeyTableAbsent(
                f"The keys in the database {self._address.name} cannot be read: the table of keys "
                "is missing."
            ) from None
        except (psycopg.Error, ValueError) as error:
            self._close()
            kind = KeysUnreadable if is_outage(error) else KeysDamaged
            raise kind(
                f"The keys in the database {self._address.name} cannot be read: "
                f"{self._address.scrubbed(brief(error))}"
            ) from None
        if not self._has_read:
            self._has_read = True
            self._close()
        return rows

    def _read(self) -> Sequence[tuple[dict[str, Any], bool]]:
        if self._connection is None:
            self._connection = psycopg.connect(**self._address.options, autocommit=True)
            self._connection.execute("SET statement_timeout = 2000; SET lock_timeout = 500")
            return keys_in(self._connection)
        try:
            return keys_in(self._connection)
        except psycopg.OperationalError:  # it was restarted since
            self._close()
            return self._read()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def keys_in(connection: psycopg.Connection[Any]) -> Sequence[tuple[dict[str, Any], bool]]:
    """Return every key that a database has, as `PostgresKeys` does.

    Raises:
        psycopg.Error: They cannot be read.
        ValueError: They are damaged.
    """
    with connection.cursor() as cursor:
        cursor.execute(_QUERY)
        return [(_entry(row), row[-1] is not None) for row in cursor.fetchall()]


def _entry(row: Sequence[Any]) -> dict[str, Any]:
    entry = dict(zip(_NAMES, row, strict=False))
    for name in ("encoders", "limits", "additions"):
        if isinstance(entry[name], str):  # as the connections of SQLAlchemy give it
            entry[name] = json.loads(entry[name])
    return entry | {"limits": entry["limits"] or {}, "additions": entry["additions"] or []}
