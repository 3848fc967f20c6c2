"""Id of a database, by which a store that several servers can reach knows whose it is."""

from __future__ import annotations

import uuid

from server.storage.database import Database
from server.storage.secret_rows import SecretRow

_NAME = "database-id"


def database_id(database: Database) -> str:
    """Return the database's id, which stays for good; make it if there is none."""
    with database.reading() as session:
        row = session.get(SecretRow, _NAME)
    if row is None:
        with database.writing() as session:
            row = session.get(SecretRow, _NAME)  # another server may have made it
            if row is None:
                row = SecretRow(name=_NAME, value=uuid.uuid4().hex)
                session.add(row)
    return row.value
