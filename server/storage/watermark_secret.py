"""The secret of the watermark: whoever has it can find the marks, and take them out."""

from __future__ import annotations

import secrets

from server.storage.database import Database
from server.storage.secret_rows import SecretRow

_NAME = "watermark"
_BYTES = 32


class WatermarkSecret:
    """The one secret of a server, made when it is first needed.

    It is never replaced: with another one, the marks of earlier clips would not be found.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self) -> bytes:
        """Return the secret; make it if there is none."""
        with self._database.reading() as session:
            row = session.get(SecretRow, _NAME)
        if row is None:
            with self._database.writing() as session:
                row = session.get(SecretRow, _NAME)  # another thread may have made it
                if row is None:
                    row = SecretRow(name=_NAME, value=secrets.token_hex(_BYTES))
                    session.add(row)
        return bytes.fromhex(row.value)
