"""Limits of keys in the database: exact, whatever comes at once, and refused in plain words."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from encoders import AliasExists
from server.errors import ApiError, QueueFull, QuotaExceeded, RateLimited
from server.storage.alias_rows import AliasRow
from server.storage.database import Database
from server.storage.key_limits import KEYLESS, Limits
from server.storage.key_rows import RateRow
from server.storage.record_store import RecordStore
from server.storage.records import COMPLETED, EncoderRecord, VideoRecord
from server.storage.usage_table import USAGE_KEPT_DAYS, UsageTable

NOON = 1_795_867_200.0
"""12:00 UTC of a day."""


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class Store:
    """Records and usage of one database, under one clock."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.database = database
        self.records = RecordStore(self.database, self.clock)
        self.usage = UsageTable(self.database, self.clock)

    def accept(self, job: Any, limits: Limits = KEYLESS, *, server: int = 1000) -> Any:
        return self.records.accept(job, limit=server, key_limits=limits)

    def refused(self, job: Any, limits: Limits, *, server: int = 1000) -> ApiError:
        with pytest.raises((RateLimited, QuotaExceeded, QueueFull)) as caught:
            self.accept(job, limits, server=server)
        return caught.value


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def video(name: str, owner: str = "acme", **values: Any) -> VideoRecord:
    fixed: dict[str, Any] = {
        "model": "tiny",
        "prompt": "pogo",
        "negative_prompt": "",
        "seed": 1,
        "steps": 1,
        "guidance": 1.0,
        "frames": 1,
        "fps": 8,
        "width": 8,
        "height": 8,
        "lifetime": 100,
        "request_hash": "x",
    }
    return VideoRecord(id=name, owner=owner, **{**fixed, **values})


def encoder(name: str, owner: str = "acme", **values: Any) -> EncoderRecord:
    fixed: dict[str, Any] = {"concepts": [], "settings": {}, "gate": {}, "request_hash": "x"}
    return EncoderRecord(id=name, job_id=f"job_{name}", owner=owner, **{**fixed, **values})


def retry_after(error: ApiError) -> int:
    return int(error.headers["Retry-After"])


@pytest.mark.parametrize(
    ("limits", "server", "accepted"),
    [
        (Limits(queued=7), 1000, 7),
        (Limits(requests_per_minute=5), 1000, 5),
        (KEYLESS, 6, 6),
        (Limits(queued=0), 1000, 0),
        (Limits(requests_per_minute=0), 1000, 0),
    ],
)
def test_a_limit_is_exact_when_many_requests_come_at_once(
    store: Store, limits: Limits, server: int, accepted: int
) -> None:
    def ask(number: int) -> str:
        try:
            store.accept(video(f"v{number}"), limits, server=server)
        except ApiError as error:
            return error.reported_code
        return "accepted"

    with ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(ask, range(24)))
    assert answers["accepted"] == accepted
    assert sum(answers.values()) == 24
    assert len(store.records.all(VideoRecord)) == accepted
    now, [*days] = store.usage.now("acme"), store.usage.by_day("acme", 1)
    assert now.queued == accepted
    assert sum(day.videos for day in days) == accepted
    counted = limits.requests_per_minute if limits.requests_per_minute is not None else 24
    assert now.requests_per_minute == sum(day.requests for day in days) == counted


def test_encoders_of_a_day_are_exact_too_and_the_day_ends_at_midnight(store: Store) -> None:
    def ask(number: int) -> bool:
        try:
            store.accept(encoder(f"e{number}"), Limits(encoders_per_day=3))
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(16))) == 3
    for record in store.records.all(EncoderRecord):
        store.records.remove(record)  # deleting gives nothing back
    error = store.refused(encoder("more"), Limits(encoders_per_day=3))
    assert (error.reported_code, error.param) == ("quota_exceeded", "encoders_per_day")
    assert retry_after(error) == 12 * 3600
    assert error.headers["x-should-retry"] == "false"
    assert all(words in str(error) for words in ("'acme'", "3 encoders today", "00:00 UTC"))
    store.clock.now += retry_after(error)
    store.accept(encoder("more"), Limits(encoders_per_day=3))


def test_requests_are_free_again_when_their_minute_ends(store: Store) -> None:
    limits = Limits(requests_per_minute=2)
    store.clock.now += 45
    store.accept(video("one"), limits)
    store.usage.count_request("acme", limits)
    error = store.refused(video("two"), limits)
    assert (error.reported_code, error.param) == ("rate_limit_exceeded", "requests_per_minute")
    assert retry_after(error) == 15
    assert "2 requests in this minute" in str(error)
    with pytest.raises(RateLimited):
        store.usage.count_request("acme", limits)
    store.accept(video("other", owner="other"), limits)
    store.clock.now += retry_after(error)
    store.accept(video("two"), limits)


def test_a_repeat_uses_nothing_and_is_answered_whatever_is_used_up(store: Store) -> None:
    limits = Limits(queued=1, requests_per_minute=1)
    first = store.accept(video("once", idempotency_key="k"), limits)
    before = store.usage.now("acme"), store.usage.by_day("acme", 1)[0].requests
    again = store.accept(video("twice", idempotency_key="k"), limits)
    assert again.id == first.id == "once"
    assert (store.usage.now("acme"), store.usage.by_day("acme", 1)[0].requests) == before
    store.refused(video("twice", idempotency_key="other"), limits)


def test_a_refused_request_counts_as_a_request_only(store: Store) -> None:
    with store.database.writing() as session:
        session.add(AliasRow(name="taken", encoder_id="x"))
    with pytest.raises(AliasExists):
        store.accept(encoder("taken"), Limits(requests_per_minute=1))
    [day] = store.usage.by_day("acme", 1)
    assert (day.requests, day.encoders) == (1, 0)
    store.refused(encoder("free"), Limits(requests_per_minute=1))


def test_stored_bytes_are_free_when_the_oldest_video_expires(store: Store) -> None:
    limits = Limits(stored_bytes=1000)
    for name, size, expires in (("a", 600, 500), ("b", 399, 300)):
        store.accept(
            video(name, status=COMPLETED, bytes=size, expires_at=int(NOON) + expires), limits
        )
    store.accept(video("c", status=COMPLETED, bytes=1, expires_at=int(NOON) + 900), limits)
    error = store.refused(video("d"), limits)
    assert (error.reported_code, error.param) == ("quota_exceeded", "stored_bytes")
    assert retry_after(error) == 300
    assert "1000 bytes" in str(error)
    store.accept(video("other", owner="other"), limits)
    removed = store.records.get(VideoRecord, VideoRecord.id == "c")
    assert removed is not None
    store.records.remove(removed)
    store.accept(video("d"), limits)


def test_the_wait_for_a_place_is_estimated_from_the_keys_last_videos(store: Store) -> None:
    limits = Limits(queued=1, queued_encoders=1)
    for number in range(3):
        store.accept(video(f"v{number}", status=COMPLETED, inference_seconds=41.5), limits)
    store.accept(video("waits"), limits)
    error = store.refused(video("more"), limits)
    assert (error.param, retry_after(error)) == ("queued", 42)
    store.accept(encoder("waits"), limits)
    error = store.refused(encoder("more"), limits)
    assert error.param == "queued_encoders"
    assert retry_after(error) > 0


def test_a_full_queue_still_takes_a_key_that_has_less_than_its_share(store: Store) -> None:
    for number in range(10):
        store.accept(video(f"greedy{number}", "greedy"), server=10)
    full = store.refused(video("greedy10", "greedy"), KEYLESS, server=10)
    assert (full.reported_code, full.param) == ("queue_full", None)
    assert retry_after(full) > 0
    for number in range(5):
        store.accept(video(f"modest{number}", "modest"), server=10)
    assert store.refused(video("modest5", "modest"), KEYLESS, server=10).code == "queue_full"
    store.accept(video("third", "third"), server=10)
    store.refused(video("greedy11", "greedy"), KEYLESS, server=10)
    left = store.records.all(VideoRecord, VideoRecord.owner == "greedy")
    for record in left[:9]:
        store.records.remove(record)
    assert len(store.records.all(VideoRecord)) == 7
    store.accept(video("greedy12", "greedy"), server=10)


def test_counters_of_past_minutes_and_of_long_ago_are_swept(store: Store) -> None:
    store.accept(video("old"))
    store.clock.now += 86_400 * USAGE_KEPT_DAYS
    store.accept(video("new"))
    store.usage.sweep(store.clock.now)
    assert len(store.usage.by_day("acme", USAGE_KEPT_DAYS + 1)) == 2
    store.usage.sweep(store.clock.now + 86_400)
    [day] = store.usage.by_day("acme", USAGE_KEPT_DAYS + 1)
    assert day.videos == 1
    with store.database.reading() as session:
        assert session.query(RateRow).all() == []
    assert store.usage.owners() == {"acme"}


def test_device_time_of_an_erased_key_leaves_no_trace(store: Store) -> None:
    job = store.accept(video("kept"))
    assert store.records.change(job, status=COMPLETED, device_seconds=2.5)
    assert not store.records.change(job, status=COMPLETED, device_seconds=1.0)
    store.records.count_device_seconds("acme", 0.5)
    assert store.usage.by_day("acme", 1)[0].device_seconds == 4.0
    store.records.count_device_seconds("nobody", 0.5)
    assert store.usage.owners() == {"acme"}
