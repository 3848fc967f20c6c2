"""Id of a database, by which a store that several servers can reach knows whose it is."""

from __future__ import annotations

import uuid

from server.storage.database import Database
from server.storage.secret_rows import SecretRow

NAME = "database-id"
"""Name of the id's row in the table of secrets."""


def database_id(database: Database) -> str:
    """Return the database's id, which stays for good; make it if there is none."""
    with database.reading() as session:
        row = session.get(SecretRow, NAME)
    if row is None:
        with database.writing() as session:
            row = session.get(SecretRow, NAME)  # another server may have made it
            if row is None:
                row = SecretRow(name=NAME, value=uuid.uuid4().hex)
                session.add(row)
    return row.value
