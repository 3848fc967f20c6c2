"""Usage of one key, counted in the transaction that uses something."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from server.errors import QueueFull, QuotaExceeded, RateLimited
from server.storage.key_limits import Limits
from server.storage.key_rows import RateRow, UsageRow
from server.storage.records import COMPLETED, PENDING, EncoderRecord, Job, VideoRecord
from server.storage.upserts import insert_into

REQUESTS = "requests"
WINDOW_S = 60
_USUAL_WAIT_S = {VideoRecord: 5, EncoderRecord: 60}
_LONGEST_WAIT_S = 300
_NOTHING: Mapping[str, float] = {"requests": 0, "videos": 0, "encoders": 0, "device_seconds": 0}
_FULL_RETRY_S = 300
"""Time after which to ask again, where nothing says when something becomes free."""


class KeyUsage:
    """Usage of one key at one moment, read and written in one transaction.

    Every check and its count are in the same transaction, which writes alone, so no limit is passed
    however many requests come at once, to whatever server. `count_request` is one statement, and is
    as exact in a transaction that does not.

    Args:
        session: The transaction.
        owner: The key's id.
        limits: Its limits.
        now: The time in Unix seconds.
    """

    def __init__(self, session: Session, owner: str, limits: Limits, now: float) -> None:
        self._session = session
        self._owner = owner
        self._limits = limits
        self._now = now
        self._window = int(now) // WINDOW_S * WINDOW_S

    def count_request(self) -> None:
        """Count a request that makes, changes, deletes or verifies something.

        Raises:
            RateLimited: The key has had all its requests of this minute. Nothing is counted.
        """
        limit = self._limits.requests_per_minute
        if not self._count_within(limit):
            used = self.requests_this_minute()
            wait = max(1, math.ceil(self._window + WINDOW_S - self._now))
            raise RateLimited(
                f"Key {self._owner!r} has made {used} requests in this minute that make, change, "
                f"delete or verify something, and may make {limit} (its limit "
                f"'requests_per_minute'). Try "
                f"again in {wait} s.",
                param="requests_per_minute",
                headers={"Retry-After": str(wait)},
            )
        self._add_today(requests=1)

    def check(self, table: type[Job], *, server_limit: int) -> None:
        """Check that the key may have one job more.

        Args:
            table: The kind of job.
            server_limit: Jobs of this kind that all keys together may have pending.

        Raises:
            QuotaExceeded: A limit of the key is reached.
            QueueFull: The server's queue is full, and the key has its share of it.
        """
        pending = self.pending(table)
        if table is VideoRecord:
            self._check_queue(table, pending, "queued", "videos")
            self._check_stored()
        else:
            self._check_queue(table, pending, "queued_encoders", "encoders")
            self._check_encoders_today()
        self._check_server(table, pending, server_limit)

    def count_job(self, table: type[Job]) -> None:
        """Count an accepted job."""
        self._add_today(**{"videos" if table is VideoRecord else "encoders": 1})

    def count_device_seconds(self, seconds: float, *, of_deleted: bool = False) -> None:
        """Count time of the device.

        Args:
            seconds: The time.
            of_deleted: The job was deleted. Then a day without usage stays so: the job's owner may
                have been erased just now.
        """
        if not of_deleted:
            self._add_today(device_seconds=seconds)
            return
        today = (UsageRow.owner == self._owner, UsageRow.day == day_of(self._now))
        total = UsageRow.device_seconds + seconds
        self._session.execute(update(UsageRow).where(*today).values(device_seconds=total))

    def pending(self, table: type[Job]) -> int:
        """Return the number of the key's jobs that wait or are being made."""
        mine = (table.owner == self._owner, table.status.in_(PENDING))
        return self._session.scalar(select(func.count()).where(*mine)) or 0

    def stored_bytes(self) -> int:
        """Return the size of the key's finished videos."""
        mine = VideoRecord.owner == self._owner
        total = self._session.scalar(select(func.sum(VideoRecord.bytes)).where(mine))
        return int(total or 0)  # PostgreSQL gives a decimal number

    def requests_this_minute(self) -> int:
        """Return the number of requests in the present window."""
        row = self._session.get(RateRow, (self._owner, REQUESTS, self._window))
        return row.count if row is not None else 0

    def encoders_today(self) -> int:
        """Return the number of encoders accepted today."""
        row = self._session.get(UsageRow, (self._owner, day_of(self._now)))
        return row.encoders if row is not None else 0

    def _check_queue(self, table: type[Job], pending: int, name: str, what: str) -> None:
        limit: int | None = getattr(self._limits, name)
        if limit is not None and pending >= limit:
            self._refuse(
                name,
                f"has {pending} {what} waiting or being made, and may have {limit}",
                f"One should end in about {(wait := self._wait(table))} s; deleting one makes room "
                "at once.",
                wait,
            )

    def _check_stored(self) -> None:
        limit = self._limits.stored_bytes
        if limit is None or (used := self.stored_bytes()) < limit:
            return
        mine = (VideoRecord.owner == self._owner, VideoRecord.expires_at > int(self._now))
        first = self._session.scalar(select(func.min(VideoRecord.expires_at)).where(*mine))
        wait = _FULL_RETRY_S if first is None else max(1, math.ceil(first - self._now))
        when = "" if first is None else f"Its oldest video expires in {wait} s. "
        self._refuse(
            "stored_bytes",
            f"has finished videos of {used} bytes, and may store {limit}",
            f"{when}Deleting videos makes room at once.",
            wait,
        )

    def _check_encoders_today(self) -> None:
        limit = self._limits.encoders_per_day
        if limit is not None and (used := self.encoders_today()) >= limit:
            wait = 86_400 - int(self._now) % 86_400
            self._refuse(
                "encoders_per_day",
                f"has asked for {used} encoders today, and may ask for {limit} a day",
                "The next day begins at 00:00 UTC.",
                wait,
            )

    def _refuse(self, name: str, sentence: str, advice: str, wait: int) -> None:
        raise QuotaExceeded(
            f"Key {self._owner!r} {sentence} (its limit {name!r}). {advice}",
            param=name,
            # A client's library that retries by itself would be refused again.
            headers={"Retry-After": str(wait), "x-should-retry": "false"},
        )

    def _check_server(self, table: type[Job], pending: int, limit: int) -> None:
        waiting = table.status.in_(PENDING)
        total = self._session.scalar(select(func.count()).where(waiting)) or 0
        if total < limit:
            return
        owners = select(func.count(table.owner.distinct())).where(waiting)
        keys = (self._session.scalar(owners) or 0) + (pending == 0)
        # Of a full queue each key that uses it may have an equal part.
        if keys > 1 and pending < max(1, limit // keys):
            return
        wait = min(self._wait(table), 5)
        raise QueueFull(
            f"{total} jobs are waiting already, of {limit} that the server takes. Try again later.",
            headers={"Retry-After": str(wait)},
        )

    def _wait(self, table: type[Job]) -> int:
        """Return an estimate of the seconds until one of the key's jobs ends."""
        usual = _USUAL_WAIT_S[VideoRecord if table is VideoRecord else EncoderRecord]
        if table is not VideoRecord:
            return usual
        mine = (VideoRecord.owner == self._owner, VideoRecord.status == COMPLETED)
        last = select(VideoRecord.inference_seconds).where(*mine)
        last = last.order_by(VideoRecord.sequence.desc()).limit(20).subquery()
        mean = self._session.scalar(select(func.avg(last.c.inference_seconds)))
        return usual if mean is None else min(max(1, math.ceil(mean)), _LONGEST_WAIT_S)

    def _count_within(self, limit: int | None) -> bool:
        """Count a request of this minute; return False if the key has had `limit` already.

        One statement, which waits for no other key's.
        """
        if limit == 0:
            return False
        place = {"owner": self._owner, "kind": REQUESTS, "window": self._window}
        row = insert_into(self._session, RateRow).values(**place, count=1)
        below = None if limit is None else RateRow.count < limit
        counted = row.on_conflict_do_update(
            index_elements=list(place), set_={"count": RateRow.count + 1}, where=below
        )
        return self._session.scalar(counted.returning(RateRow.count)) is not None

    def _add_today(self, **amounts: float) -> None:
        """Add to the counters of today's row, which may not be there yet."""
        place = {"owner": self._owner, "day": day_of(self._now)}
        row = insert_into(self._session, UsageRow).values(**place, **{**_NOTHING, **amounts})
        self._session.execute(
            row.on_conflict_do_update(
                index_elements=list(place),
                set_={name: getattr(UsageRow, name) + amount for name, amount in amounts.items()},
            )
        )


def day_of(now: float) -> str:
    """Return the day of a time in Unix seconds, in UTC: `2026-11-28`."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()
