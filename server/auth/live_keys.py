"""The keys that a server accepts now: those of its keys file and those of its database.

A thread reads both again every second, and at once if a notice says that a key has changed, so that
a new key is accepted, and a revoked one refused, without a restart. No request waits for the
database.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from pydantic import ValidationError

from server.auth.keys import Caller, Key, Keyring, secret_of
from server.auth.keys_file import KeysFile
from server.errors import NotReady, Unauthorized
from server.storage.stored_keys import KeysAbsent, Stored

log = logging.getLogger(__name__)

REFRESH_INTERVAL_S = 1.0
WITHOUT_KEY: ContextVar[bool] = ContextVar("without_key", default=False)
"""True in the context of a request that was let in without a key, since none was needed then."""
KEPT_S = 300.0
"""Time for which the database's keys stay valid while it cannot be read. A key that was revoked
meanwhile is accepted for no longer."""


class LiveKeys:
    """The keys of one server.

    A server is keyed once it has a keys file, or once its database has had a key, even a revoked
    one. It stays keyed until it ends. While it is not known if the database has keys, it counts as
    keyed, and no key is accepted.

    Args:
        file: The keys file; None for none.
        stored: Reads the keys of the database.
        clock: Seconds of a clock that never goes back.

    Raises:
        KeysInvalid: The keys file cannot be used.
    """

    def __init__(
        self, file: Path | None, stored: Stored, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = None if file is None else KeysFile(file)
        self._read_stored = stored
        self._clock = clock
        self._stored: list[Key] = []
        self._read_at: float | None = None
        self._has_had_key = file is not None
        self._has_had_stored = False
        self._error: Exception | None = None
        self._declared, self._made = Keyring(), Keyring()
        self._keys: tuple[Key, ...] = ()
        self._limits: dict[str, Mapping[str, int]] = {}
        self._is_due = Event()
        self._refreshing = Lock()  # else an older reading could come after a newer one
        self.refresh()

    @property
    def is_keyed(self) -> bool:
        """True if a request needs a key."""
        return self._has_had_key or self._read_at is None

    def caller(self, authorization: Sequence[str]) -> Caller:
        """Return the sender of these Authorization headers.

        Raises:
            Unauthorized: There is no key, or one that is not known, revoked or expired.
            NotReady: The key may be in the database, which cannot be read.
        """
        now = time.time()
        try:
            secret = secret_of(authorization)
        except Unauthorized:
            if self._read_at is None and self._file is None:
                raise _unreadable(self._error) from None  # perhaps no key is needed
            raise
        found = self._declared.find(secret, now)
        if found is not None:
            return found
        if self._read_at is None or self._clock() - self._read_at > KEPT_S:
            raise _unreadable(self._error)
        found = self._made.find(secret, now)
        if found is None:
            raise Unauthorized("This key is not known here.")
        return found

    def known_id(self, authorization: Sequence[str]) -> str | None:
        """Return the id of the key in these Authorization headers; None if it is not accepted."""
        try:
            return self.caller(authorization).id
        except (Unauthorized, NotReady):
            return None

    @property
    def ids(self) -> set[str]:
        """The ids of the keys that are accepted, expired ones too."""
        return set(self._limits)

    @property
    def all(self) -> Sequence[Key]:
        """The keys that are accepted, expired ones too."""
        return self._keys

    def limits_of(self, key_id: str) -> Mapping[str, int]:
        """Return the limits that a key has of its own; none for a key that is not known."""
        return self._limits.get(key_id, {})

    def adopt(self, read: Stored) -> None:
        """Take the keys of a database that is about to be used, in place of those read before.

        Raises:
            Exception: That of `read`: the database must not be used.
        """
        with self._refreshing:
            self._take(self._rows(read))
            self._combine()

    def refresh(self) -> None:
        """Read the file if it has changed, and the database. Keys that cannot be read stay."""
        with self._refreshing:
            self._refresh()

    def refresh_soon(self) -> None:
        """Have the watch refresh the keys now. Returns at once."""
        self._is_due.set()

    def _refresh(self) -> None:
        if self._file is not None:
            self._file.refresh()
        try:
            rows = self._rows(self._read_stored)
        except Exception as error:
            if str(error) != str(self._error):
                log.error("%s Those read before stay valid for %d s.", error, KEPT_S)
            self._error = error
        else:
            self._take(rows)
        self._combine()

    def _rows(self, read: Stored) -> Sequence[tuple[Mapping[str, Any], bool]]:
        try:
            return read()
        except KeysAbsent:
            if self._has_had_stored:
                raise  # no key is ever deleted, so these were lost with the database
            return []

    def _take(self, rows: Sequence[tuple[Mapping[str, Any], bool]]) -> None:
        self._error = None
        self._has_had_stored |= bool(rows)
        self._has_had_key |= bool(rows)  # before the next line, which ends that it is not known
        self._read_at = self._clock()
        self._stored = [key for row, revoked in rows if not revoked and (key := _key(row))]

    def _combine(self) -> None:
        declared = self._file.keys if self._file is not None else []
        names = {key.id for key in declared}
        self._declared = Keyring(declared)
        # A key that the file declares is the file's alone, so that the file can also replace it.
        made = [key for key in self._stored if key.id not in names]
        self._made = Keyring(made, is_stored=True)
        self._keys = (*declared, *made)
        self._limits = {key.id: key.limits for key in self._keys}

    @contextmanager
    def watched(self) -> Generator[None]:
        """Refresh the keys every second for as long as the context lasts."""
        ended = False

        def watch() -> None:
            while True:
                self._is_due.wait(REFRESH_INTERVAL_S)
                self._is_due.clear()
                if ended:
                    return
                try:
                    self.refresh()
                except Exception:  # the next second may be better
                    log.exception("the keys could not be refreshed")

        thread = Thread(target=watch, name="palimpsest-keys", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended = True
            self._is_due.set()
            thread.join()


def _unreadable(error: Exception | None) -> NotReady:
    code = getattr(error, "code", "storage_unavailable")
    state = "is damaged" if code == "load_failed" else "is locked or away"
    return NotReady(
        f"The server's keys cannot be read, since its database {state}. Its log says more.",
        code=code,
        headers={"Retry-After": "5"},
    )


def _key(row: Mapping[str, Any]) -> Key | None:
    try:
        return Key.model_validate(row)
    except ValidationError as error:
        log.error("key %r in the database is refused: %s", row.get("id"), error)
        return None
