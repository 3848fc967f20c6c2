"""The keys file: keys that a deployment declares, as JSON.

It holds the SHA-256 of each key, never the key:

    {"keys": [{"id": "acme", "sha256": "…", "role": "user", "encoders": ["acme-policy"],
               "default_encoder": "acme-policy", "expires_at": "2027-01-31T00:00:00Z"}]}

`palimpsest keys create --entry` prints an entry.
"""

from __future__ import annotations

import json
import logging
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from encoders import PalimpsestError
from server.auth.keys import Key

log = logging.getLogger(__name__)


class KeysInvalid(PalimpsestError, ValueError):
    """The keys file cannot be used. A server must not start with it."""

    code = "keys_invalid"


class KeysFile:
    """A keys file that is read again when it changes.

    Args:
        path: The file.

    Raises:
        KeysInvalid: It cannot be used now, at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = _signature(path)
        self.keys = read(path)
        """The keys that the file had when it could last be read."""
        if path.stat().st_mode & stat.S_IROTH:
            log.warning("every user of this machine can read the keys file %s: chmod 600", path)

    def refresh(self) -> None:
        """Read the file if it has changed. If it cannot be used, keep the keys and log why."""
        signature = _signature(self._path)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self.keys = read(self._path)
            log.info("the keys file has changed: it has %d keys now", len(self.keys))
        except KeysInvalid as error:
            log.error("%s The keys that it had before stay valid.", error)


def read(path: Path) -> list[Key]:
    """Read a keys file.

    Raises:
        KeysInvalid: It cannot be used; the message has the reason.
    """
    try:
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or set(document) != {"keys"}:
            raise KeysInvalid('it must be {"keys": [...]}')
        return _checked([Key.model_validate(_entry(entry)) for entry in document["keys"]])
    except (OSError, ValidationError, ValueError, TypeError) as error:
        raise KeysInvalid(f"The keys file {path} cannot be used: {error}") from error


def ids_in(path: Path | None) -> set[str]:
    """Return the ids of a keys file's keys; none without a file.

    Raises:
        KeysInvalid: It cannot be used.
    """
    return set() if path is None else {key.id for key in read(path)}


def _checked(keys: list[Key]) -> list[Key]:
    for field in ("id", "sha256"):
        values = [getattr(key, field) for key in keys]
        if twice := {value for value in values if values.count(value) > 1}:
            raise KeysInvalid(f"two keys share the {field} {sorted(twice)[0]!r}")
    if not keys:
        raise KeysInvalid("it holds no key, so no request could be answered")
    return keys


def _entry(entry: Any) -> Any:
    """Return an entry with `expires_at` as Unix seconds; the file may have a time in words."""
    when = entry.get("expires_at") if isinstance(entry, dict) else None
    if not isinstance(when, str):
        return entry
    return {**entry, "expires_at": int(datetime.fromisoformat(when).astimezone().timestamp())}


def _signature(path: Path) -> tuple[int, int, int] | str:
    try:
        found = path.stat()
    except OSError as error:
        return str(error)
    return found.st_mtime_ns, found.st_size, found.st_ino
