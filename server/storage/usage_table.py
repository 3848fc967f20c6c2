"""The table of usage: of each key now, and on each day."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, union

from server.storage.database import Database
from server.storage.key_limits import Limits
from server.storage.key_rows import RateRow, UsageRow
from server.storage.key_table import check_not_revoked
from server.storage.key_usage import WINDOW_S, KeyUsage, day_of
from server.storage.records import EncoderRecord, VideoRecord

USAGE_KEPT_DAYS = 400
"""Days for which usage is kept."""


@dataclass(frozen=True)
class UsedNow:
    """Usage of a key at a moment; the names are those of its limits."""

    queued: int
    requests_per_minute: int
    stored_bytes: int
    encoders_per_day: int
    queued_encoders: int


class UsageTable:
    """The usage of keys. Every method is one short transaction.

    Args:
        database: The database.
        clock: Returns the time in Unix seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def count_request(self, owner: str, limits: Limits, *, stored_key: bool = False) -> None:
        """Count a request that changes or deletes something.

        Args:
            owner: Id of the caller's key.
            limits: Its limits.
            stored_key: True if the key is one of the database.

        Raises:
            RateLimited: The key has had all its requests of this minute.
            Unauthorized: The key was revoked meanwhile.
        """
        with self._database.writing(alone=False) as session:
            if stored_key:
                check_not_revoked(session, owner)
            KeyUsage(session, owner, limits, self._clock()).count_request()

    def now(self, owner: str) -> UsedNow:
        """Return what a key uses now."""
        with self._database.reading() as session:
            usage = KeyUsage(session, owner, Limits(), self._clock())
            return UsedNow(
                queued=usage.pending(VideoRecord),
                requests_per_minute=usage.requests_this_minute(),
                stored_bytes=usage.stored_bytes(),
                encoders_per_day=usage.encoders_today(),
                queued_encoders=usage.pending(EncoderRecord),
            )

    def by_day(self, owner: str, days: int) -> Sequence[UsageRow]:
        """Return a key's usage on the last `days` days, today included; newest first."""
        first = day_of(self._clock() - 86_400 * (days - 1))
        rows = select(UsageRow).where(UsageRow.owner == owner, UsageRow.day >= first)
        with self._database.reading() as session:
            return session.scalars(rows.order_by(UsageRow.day.desc())).all()

    def owners(self) -> set[str]:
        """Return every key that has used something, or has jobs."""
        tables = (UsageRow, VideoRecord, EncoderRecord)
        with self._database.reading() as session:
            return set(session.scalars(union(*(select(table.owner) for table in tables))))

    def sweep(self, now: float) -> None:
        """Remove the counters of past minutes, and usage that is older than it is kept."""
        with self._database.writing() as session:
            session.execute(delete(RateRow).where(RateRow.window <= int(now) - 2 * WINDOW_S))
            oldest = day_of(now - 86_400 * USAGE_KEPT_DAYS)
            session.execute(delete(UsageRow).where(UsageRow.day < oldest))
