"""Rows of a table as lines of JSON: the same lines from SQLite and from PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import Select, Table, insert, select
from sqlalchemy.orm import Session

from server.storage import database_id
from server.storage.replica_rows import ReplicaRow
from server.storage.secret_rows import SecretRow
from server.storage.tables import TABLES

_BATCH = 1000
COPIED: dict[str, Table] = {
    row.__tablename__: row.__table__  # pyright: ignore[reportAssignmentType]  # a Table, no FROM
    for row in TABLES
    if row is not ReplicaRow
}
"""Tables that are copied, by name. Replicas are processes, and stay where they are."""


class LinesDigest:
    """Number and SHA-256 of the lines that pass through."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = sha256()

    def through(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines, and count them."""
        for line in lines:
            self.rows += 1
            self._hash.update(line)
            yield line

    @property
    def sha256(self) -> str:
        """SHA-256 of the lines so far, in hex."""
        return self._hash.hexdigest()


def read_lines(session: Session, name: str) -> Iterator[bytes]:
    """Yield the rows of a table in the order of their keys, each a line of JSON.

    The id of the database is left out: a copy is a database of its own.
    """
    table = COPIED[name]
    names = table.columns.keys()
    found = session.execute(_query(table), execution_options={"yield_per": _BATCH})
    for row in found:
        yield json.dumps(dict(zip(names, row, strict=True)), separators=(",", ":")).encode() + b"\n"


def write_lines(session: Session, name: str, lines: Iterable[bytes]) -> None:
    """Insert the rows that `read_lines` gave."""
    table = COPIED[name]
    rest = iter(lines)
    while some := [json.loads(line) for line in islice(rest, _BATCH)]:
        session.execute(insert(table), some)


def is_empty(session: Session) -> bool:
    """Return True if no table has rows, those of replicas included."""
    tables = [row.__table__ for row in TABLES]
    return all(session.execute(select(table).limit(1)).first() is None for table in tables)


def _query(table: Table) -> Select[Any]:
    query = select(*table.columns).order_by(*table.primary_key)
    if table is COPIED[SecretRow.__tablename__]:
        query = query.where(table.c.name != database_id.NAME)
    return query
