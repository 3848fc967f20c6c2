"""The table of keys: made, listed, given a new secret, revoked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from encoders import PalimpsestError
from server.errors import Unauthorized
from server.storage.database import Database
from server.storage.key_limits import checked
from server.storage.key_rows import KeyRow
from server.storage.notices import Notices, Topic


class KeyExists(PalimpsestError):
    """Error: the id was given to a key before, which may be revoked."""

    code = "key_exists"


class KeyNotFound(PalimpsestError):
    """Error: the database has no key of this id."""

    code = "key_not_found"


class KeyTable:
    """The keys in the database.

    A running server notices a change at once on PostgreSQL, and within two seconds on SQLite.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Sequence[KeyRow]:
        """Return every key, revoked ones too, oldest first."""
        with self._database.reading() as session:
            return session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id)).all()

    def add(self, row: KeyRow) -> None:
        """Add a new key.

        Raises:
            KeyExists: There is, or was, a key of this id.
        """
        with self._database.writing() as session:
            if session.get(KeyRow, row.id) is not None:
                raise KeyExists(
                    f"There is a key {row.id!r} already, or there was one. `palimpsest keys rotate "
                    f"{row.id}` gives it a new secret."
                )
            session.add(row)
            Notices.add(session, Topic.KEYS, row.id)

    def rotate(self, key_id: str, sha256: str, expires_at: int | None) -> KeyRow:
        """Give a key a new secret and expiry. The old secret is refused from then on.

        Raises:
            KeyNotFound: There is no such key.
        """
        with self._database.writing() as session:
            row = session.get(KeyRow, key_id)
            if row is None:
                raise _missing(key_id)
            row.sha256, row.expires_at, row.revoked_at = sha256, expires_at, None
            Notices.add(session, Topic.KEYS, key_id)
            return row

    def limit(self, key_id: str, changes: Mapping[str, int | None]) -> dict[str, int]:
        """Change limits of a key, and return those that it has of its own.

        Args:
            key_id: The key.
            changes: New values by name; None takes the settings' value again.

        Raises:
            KeyNotFound: There is no such key.
            ValidationError: A name is unknown, or a value cannot be used.
        """
        with self._database.writing() as session:
            row = session.get(KeyRow, key_id)
            if row is None:
                raise _missing(key_id)
            row.limits = checked({**row.limits, **changes})
            Notices.add(session, Topic.KEYS, key_id)
            return row.limits

    def revoke(self, key_id: str) -> None:
        """Refuse a key from now on, until `rotate` gives it a new secret.

        Raises:
            KeyNotFound: There is no such key.
        """
        with self._database.writing() as session:
            row = session.get(KeyRow, key_id)
            if row is None:
                raise _missing(key_id)
            row.revoked_at = row.revoked_at or int(time.time())
            Notices.add(session, Topic.KEYS, key_id)


def check_not_revoked(session: Session, key_id: str) -> None:
    """Check a key in the transaction of a write: another server may have revoked it just now.

    It cannot be revoked before the end of the transaction.

    Raises:
        Unauthorized: It was revoked.
    """
    row = select(KeyRow.revoked_at).where(KeyRow.id == key_id).with_for_update(read=True)
    if session.scalar(row) is not None:
        raise Unauthorized("This key was revoked. Ask the server's operator for a new one.")


def _missing(key_id: str) -> KeyNotFound:
    return KeyNotFound(f"The database has no key {key_id!r}. `palimpsest keys list` shows all.")
