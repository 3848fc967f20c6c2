"""Keys in the database, as the guard reads them every second, without SQLAlchemy.

The guard's process needs them before it has imported anything large, and BentoML's parent before
there is a database. So the table is read as it is, and never created or changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from server.outage import StorageFault

COLUMNS = ("id", "sha256", "role", "encoders", "default_encoder", "limits", "expires_at")

Stored = Callable[[], Sequence[tuple[Mapping[str, Any], bool]]]
"""Returns every key in the database, each with True if it was revoked. `KeysAbsent` means that it
has none, unless it had some before: then they are lost. Any other error means that they cannot be
read now."""


class KeysUnreadable(StorageFault):
    """The database is locked or away, so its keys cannot be read now."""

    code = "storage_unavailable"


class KeysDamaged(KeysUnreadable):
    """The database is damaged, or no database: its keys can be read once it is restored."""

    code = "load_failed"


class KeysAbsent(KeysUnreadable):
    """There is no database: there never was one, or it is away."""


class KeyTableAbsent(KeysAbsent):
    """The database has no table of keys: it never had one, or lost its content."""

    code = "load_failed"
