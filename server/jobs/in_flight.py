"""Jobs in flight: what this process works on now."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock

from server.storage.records import EncoderRecord, JobRecord, VideoRecord

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


@dataclass(frozen=True)
class _Flight:
    table: type[VideoRecord] | type[EncoderRecord]
    attempt: int
    alone_until: float


class InFlight:
    """The jobs whose workflows run in this process. Its methods may be called on any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._flights: dict[str, _Flight] = {}
        self._last_start: dict[str, float] = {}
        self._failures: dict[str, tuple[int, float]] = {}

    def add(self, record: JobRecord, *, alone_s: float = 0.0) -> None:
        """Note that the job's workflow is about to start.

        Args:
            record: The job.
            alone_s: Seconds for which no other may start beside it.
        """
        with self._lock:
            now = time.monotonic()
            flight = _Flight(type(record), record.attempt, now + alone_s)
            self._flights[record.job_id] = flight
            self._last_start[record.owner] = now

    def remove(self, job_id: str, attempt: int) -> None:
        """Note that the workflow of this attempt has ended. A later attempt stays."""
        with self._lock:
            flight = self._flights.get(job_id)
            if flight is not None and flight.attempt == attempt:
                del self._flights[job_id]

    def hold_back(self, job_id: str) -> None:
        """Keep a job whose workflow could not run from starting again at once."""
        with self._lock:
            now = time.monotonic()
            # Of jobs that have long been able to run nothing needs to be known.
            horizon = now - 2 * _LONGEST_PAUSE_S
            self._failures = {k: v for k, v in self._failures.items() if v[1] > horizon}
            count = self._failures.get(job_id, (0, 0.0))[0] + 1
            pause = min(_FIRST_PAUSE_S * 2 ** (count - 1), _LONGEST_PAUSE_S)
            self._failures[job_id] = (count, now + pause)

    def __len__(self) -> int:
        with self._lock:
            return len(self._flights)

    def not_startable(self) -> set[str]:
        """Return the ids of the jobs that run, or are held back."""
        now = time.monotonic()
        with self._lock:
            held = {job_id for job_id, (_, until) in self._failures.items() if until > now}
            return held | set(self._flights)

    def attempts(self, table: type[VideoRecord] | type[EncoderRecord]) -> dict[str, int]:
        """Return the ids of the jobs of a kind that run, each with its attempt."""
        with self._lock:
            return {key: f.attempt for key, f in self._flights.items() if f.table is table}

    def count(self, table: type[VideoRecord] | type[EncoderRecord]) -> int:
        """Return the number of jobs of a kind that run."""
        return len(self.attempts(table))

    def has_one_alone(self) -> bool:
        """Return True while a job runs beside which no other may start."""
        now = time.monotonic()
        with self._lock:
            return any(flight.alone_until > now for flight in self._flights.values())

    def last_start(self, owner: str) -> float:
        """Return the time of the owner's last start on the monotonic clock, or 0."""
        with self._lock:
            return self._last_start.get(owner, 0.0)
