"""Keys in an SQLite database, read with nothing but `sqlite3`."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from server.outage import is_outage
from server.storage.stored_keys import (
    COLUMNS,
    KeysAbsent,
    KeysDamaged,
    KeysUnreadable,
    KeyTableAbsent,
)

_BUSY_TIMEOUT_S = 0.5
_LATER_COLUMNS = ("additions",)
"""Columns that the database of an earlier version does not have until it is upgraded."""


def stored_keys(database: Path) -> Sequence[tuple[dict[str, Any], bool]]:
    """Return every key that was ever made, each with True if it was revoked.

    A link to a file that is away is no database without keys: the file may come back.

    Args:
        database: The database's file.

    Raises:
        KeysAbsent: It does not exist, is empty, or is older than keys (`KeyTableAbsent`): it has
            none, unless it had some before.
        KeysUnreadable: It is there and cannot be read.
        KeysDamaged: Nor can it be later, as it is.
    """
    if not os.path.lexists(database):
        raise KeysAbsent(f"The keys cannot be read: {database} is away.")
    if not database.is_file():  # SQLite would wait for ever for the other end of a pipe
        raise KeysDamaged(f"The keys cannot be read: {database} is no file, or a link to none.")
    try:
        uri = f"file:{quote(str(database.absolute()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)
        try:
            return keys_in(connection)
        finally:
            connection.close()
    except KeyTableAbsent as error:
        raise KeyTableAbsent(f"The keys in {database} cannot be read: {error}") from None
    except (sqlite3.Error, OSError, ValueError) as error:
        kind = KeysUnreadable if is_outage(error) else KeysDamaged
        raise kind(f"The keys in {database} cannot be read: {error}") from error


def keys_in(connection: sqlite3.Connection) -> Sequence[tuple[dict[str, Any], bool]]:
    """Return every key that an open database has, as `stored_keys` does.

    Raises:
        KeyTableAbsent: It has no table of keys.
        sqlite3.Error: They cannot be read.
        ValueError: They are damaged.
    """
    has_table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'keys'"
    if connection.execute(has_table).fetchone() is None:
        raise KeyTableAbsent("the table of keys is missing.")
    existing = {row[1] for row in connection.execute("PRAGMA table_info(keys)")}
    columns = (*COLUMNS, *(name for name in _LATER_COLUMNS if name in existing))
    query = f"SELECT {', '.join(columns)}, revoked_at FROM keys ORDER BY id"
    rows = connection.execute(query).fetchall()
    return [(_entry(columns, row), row[-1] is not None) for row in rows]


def _entry(columns: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"additions": None, **dict(zip(columns, row, strict=False))}
    for name in ("encoders", "limits", "additions"):
        entry[name] = None if entry[name] is None else json.loads(entry[name])
    return entry | {"limits": entry["limits"] or {}, "additions": entry["additions"] or []}
