"""Policy of keys: the limits that hold for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.auth.keys import LOCAL, Caller, Key
from server.auth.live_keys import WITHOUT_KEY, LiveKeys
from server.errors import Unauthorized
from server.settings import Settings
from server.storage.database import Database
from server.storage.key_limits import KEYLESS, Limits, limits_of
from server.storage.notices import Topic
from server.storage.stored_keys import Stored


class KeyPolicy:
    """The limits of every key: its own ones, and the settings' for the rest.

    Args:
        keys: The keys that the server accepts; None: it has none.
        settings: The server's settings.
    """

    def __init__(self, keys: LiveKeys | None, settings: Settings) -> None:
        self._keys = keys
        self._settings = settings
        self.slots: Callable[[], int] = lambda: settings.videos_in_flight
        """Returns the number of videos that are worked on at a time, on all replicas together."""

    @property
    def ids(self) -> set[str]:
        """The ids of the keys that are accepted now."""
        return set() if self._keys is None else self._keys.ids

    @property
    def keys(self) -> Sequence[Key]:
        """The keys that are accepted now."""
        return () if self._keys is None else self._keys.all

    def guard(self, database: Database) -> None:
        """Have a database used with its own keys only, and follow their changes.

        Raises:
            Exception: Its keys cannot be read.
        """
        database.admit(self.admit_keys, self.admit_use)
        if self._keys is not None:
            keys = self._keys
            database.notices.on(Topic.KEYS, lambda _: keys.refresh_soon())

    def admit_keys(self, read: Stored) -> None:
        """Take the keys of a database before anything else is read from it.

        Raises:
            Exception: They cannot be read.
        """
        if self._keys is not None:
            self._keys.adopt(read)

    def admit_use(self) -> None:
        """Refuse the database to a request that came before the server had a key, and without one.

        Raises:
            Unauthorized: This is the thread of such a request.
        """
        if WITHOUT_KEY.get() and self._keys is not None and self._keys.is_keyed:
            raise Unauthorized(
                "This server has keys by now: send yours as 'Authorization: Bearer <key>'."
            )

    def of_caller(self, caller: Caller) -> Limits:
        """Return the limits of the sender of a request."""
        return (
            KEYLESS if caller is LOCAL else limits_of(caller.limits, self._settings, self.slots())
        )

    def of_owner(self, owner: str) -> Limits:
        """Return the limits of a key, by its id. A key that is not known has the settings'."""
        is_keyed = self._keys is not None and self._keys.is_keyed
        if owner == LOCAL.id and not is_keyed:
            return KEYLESS
        own = {} if self._keys is None else self._keys.limits_of(owner)
        return limits_of(own, self._settings, self.slots())
