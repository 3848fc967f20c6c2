"""Signing keys: the one that signs now, and the certificates of all that ever did."""

from __future__ import annotations

import logging
import time
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from marking.certificate import make_key_pair
from marking.clip_statement import ClipStatement
from marking.content_credentials import sign_media
from marking.errors import KeyUnavailable, SigningFailed, SigningKeyInvalid
from marking.signing_key import SigningKey
from server.settings import Settings
from server.storage.database import Database
from server.storage.signing_key_rows import SigningKeyRow

log = logging.getLogger(__name__)

HOLDER = "Palimpsest server"
"""Name in a certificate of one's own if the settings name no issuer."""
_RENEW_BEFORE = timedelta(days=30)
_PROBE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
"""A picture of one pixel, which is signed to try a key."""
_PROBE_CLIP = ClipStatement(id="probe", encoder_identity=None, base="")


class SigningKeys:
    """The signing keys of one server. Every method is one short transaction.

    The settings name a key (PEM files, or a command); without one the server makes its own and
    keeps it in the database.

    Args:
        database: Holds the keys.
        settings: Name the key's files or command, and the issuer.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def prepare(self) -> None:
        """Try the key that signs now; make one if there is none.

        Raises:
            SigningKeyInvalid: The settings name one that cannot be used; the message says why.
        """
        key = self._active()
        try:
            sign_media(_PROBE, "image/png", _PROBE_CLIP, key)
        except SigningFailed as error:
            raise SigningKeyInvalid(f"The signing key cannot be used: {error}") from error

    def active(self) -> SigningKey:
        """Return the key that signs now. A new one of the settings is remembered.

        Raises:
            KeyUnavailable: There is none that can be used; the log says why.
        """
        try:
            return self._active()
        except SigningKeyInvalid as error:
            # It names files of the operator's, and is raised for tenants too.
            log.error("%s", error)
            raise KeyUnavailable from error

    def all(self) -> Sequence[SigningKeyRow]:
        """Return every key, oldest first."""
        with self._database.reading() as session:
            return session.scalars(select(SigningKeyRow).order_by(SigningKeyRow.sequence)).all()

    def rotate(self) -> str:
        """Make a new key of the server's own, which signs from now on; return its id."""
        return self._made().key_id

    def revoke(self, key_id: str, at: int | None = None) -> SigningKeyRow:
        """Let a key's signatures count for nothing from a time on (Unix seconds); None: now.

        Raises:
            SigningKeyInvalid: There is no such key.
        """
        with self._database.writing() as session:
            row = session.scalar(select(SigningKeyRow).filter_by(id=key_id))
            if row is None:
                raise SigningKeyInvalid(f"There is no signing key {key_id!r}.", param="key")
            row.revoked_at = int(time.time()) if at is None else at
            # A stolen key would stay in backups of this file, but not in the file.
            row.private_key = None
            return row

    def _active(self) -> SigningKey:
        key = self._given()
        if key is None:
            return self._own() or self._made(unless_there=True)
        rows = {row.id: row for row in self.all()}
        if key.key_id not in rows:
            row = SigningKeyRow(id=key.key_id, certificates=key.certificates)
            with self._database.writing() as session:
                if session.scalar(select(SigningKeyRow).filter_by(id=row.id)) is None:
                    session.add(row)
        elif rows[key.key_id].revoked_at is not None:
            raise SigningKeyInvalid(
                f"PALIMPSEST_SIGNING_CERTIFICATES names the key {key.key_id}, which was revoked: "
                "give it another."
            )
        if key.valid_until <= datetime.now(UTC):
            raise SigningKeyInvalid(
                f"The certificate in PALIMPSEST_SIGNING_CERTIFICATES was valid until "
                f"{key.valid_until:%Y-%m-%d %H:%M} UTC: give it a new one."
            )
        return key

    def _own(self) -> SigningKey | None:
        """Return the newest key of the server's own that can sign for some time yet."""
        with self._database.reading() as session:
            return _newest(session)

    def _made(self, *, unless_there: bool = False) -> SigningKey:
        """Make a key. With `unless_there`, return that of another server if it was sooner."""
        pair = make_key_pair(self._settings.issuer or HOLDER)
        key = SigningKey.from_pem(pair.private_key, pair.certificates)
        with self._database.writing() as session:
            if unless_there and (other := _newest(session)) is not None:
                return other
            session.add(
                SigningKeyRow(
                    id=key.key_id, private_key=pair.private_key, certificates=key.certificates
                )
            )
        log.warning(
            "clips and reports are signed with a key of this server's own from now on (%s), whose "
            "signer verifiers call unknown; PALIMPSEST_SIGNING_CERTIFICATES names another's",
            key.key_id,
        )
        return key

    def _given(self) -> SigningKey | None:
        """Return the key that the settings name; None: they name none."""
        settings = self._settings
        if settings.signing_certificates is None:
            if settings.signing_key is not None or settings.signing_command is not None:
                raise SigningKeyInvalid(
                    "PALIMPSEST_SIGNING_CERTIFICATES has to name the PEM file with the signing "
                    "key's certificates."
                )
            return None
        if (settings.signing_key is None) == (settings.signing_command is None):
            raise SigningKeyInvalid(
                "PALIMPSEST_SIGNING_CERTIFICATES needs one of PALIMPSEST_SIGNING_KEY and "
                "PALIMPSEST_SIGNING_COMMAND beside it."
            )
        certificates = _read(settings.signing_certificates, "PALIMPSEST_SIGNING_CERTIFICATES")
        if settings.signing_command is not None:
            return SigningKey.from_command(settings.signing_command, certificates)
        assert settings.signing_key is not None
        return SigningKey.from_pem(
            _read(settings.signing_key, "PALIMPSEST_SIGNING_KEY"), certificates
        )


def _newest(session: Session) -> SigningKey | None:
    found = select(SigningKeyRow).where(
        SigningKeyRow.private_key.is_not(None), SigningKeyRow.revoked_at.is_(None)
    )
    for row in session.scalars(found.order_by(SigningKeyRow.sequence.desc())):
        key = SigningKey.from_pem(row.private_key or "", row.certificates)
        if key.valid_until - datetime.now(UTC) > _RENEW_BEFORE:
            return key
    return None


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SigningKeyInvalid(
            f"{variable} names {path}, which cannot be read: {error}"
        ) from error
