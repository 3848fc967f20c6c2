"""The ledger's table: gapless whoever appends, one with the video's end, swept and erased."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from marking.ledger import LedgerEntry, LedgerFilter
from marking.ledger_check import check_chain
from server.storage.database import Database
from server.storage.ledger_rows import LedgerRow
from server.storage.ledger_table import LedgerSlice
from server.storage.ledger_uses import LedgerUses
from server.storage.record_store import RecordStore
from server.storage.records import COMPLETED, VideoRecord
from tests.marking.ledger_help import a_draft, an_encoder
from tests.server.test_key_limits import video


@pytest.fixture
def records(database: Database) -> RecordStore:
    return RecordStore(database)


def complete(records: RecordStore, number: int, at: int, owner: str = "acme") -> bool:
    """Accept a video and complete it."""
    name = f"video_{number:032x}"
    job = records.accept(video(name), limit=99)
    draft = a_draft(number, owner=owner, video_id=name)
    return records.change(job, status=COMPLETED, completed_at=at, ledger=draft)


def whole(records: RecordStore, limit: int = 99) -> LedgerSlice:
    found = records.ledger.slice(LedgerFilter(), after=0, limit=limit)
    assert found is not None
    return found


def numbers(records: RecordStore) -> list[int]:
    """Return the numbers of the entries, after checking their chain."""
    part = whole(records)
    assert check_chain(part.entries, after=part.begin, end=part.head) == []
    return [item.first for item in part.entries]


def test_entries_that_are_appended_at_once_have_no_gap(records: RecordStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda n: complete(records, n, 1000), range(40)))
    assert numbers(records) == list(range(1, 41))


def on_sqlite(refused: str) -> list[str]:
    """Return the statements that let a kind of write fail; "" ends it."""
    made = f"CREATE TRIGGER refuse BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'refused'); END"
    return ["DROP TRIGGER IF EXISTS refuse", *([made] if refused else [])]


def on_postgresql(refused: str) -> list[str]:
    """Return those of PostgreSQL, where a trigger is a table's."""
    raised = "RAISE integrity_constraint_violation"
    body = f"RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raised}; END $$"
    ended = [f"DROP TRIGGER IF EXISTS refuse ON {table}" for table in ("ledger", "videos")]
    if not refused:
        return ended
    made = f"CREATE TRIGGER refuse BEFORE {refused} FOR EACH ROW EXECUTE FUNCTION refuse()"
    return [*ended, f"CREATE OR REPLACE FUNCTION refuse() {body}", made]


def test_a_video_is_completed_and_entered_together_or_not_at_all(
    records: RecordStore, database: Database
) -> None:
    assert complete(records, 1, 1000)

    def trigger(refused: str) -> None:
        with database.writing() as session:
            is_sqlite = session.get_bind().dialect.name == "sqlite"
            for statement in on_sqlite(refused) if is_sqlite else on_postgresql(refused):
                session.execute(text(statement))

    for number, refused in enumerate(("INSERT ON ledger", "UPDATE ON videos"), 2):
        trigger(refused)
        with pytest.raises(IntegrityError):
            complete(records, number, 1000)
        trigger("")
        name = f"video_{number:032x}"
        job = records.get(VideoRecord, VideoRecord.id == name)
        assert job is not None
        assert job.status != COMPLETED
        assert numbers(records) == [1]
        draft = a_draft(number, video_id=name)
        records.remove(job)  # by its owner, while it is being made
        assert not records.change(job, status=COMPLETED, completed_at=1000, ledger=draft)
    assert complete(records, 4, 1001)
    assert numbers(records) == [1, 2]


def test_the_oldest_are_removed_and_the_rest_still_verifies(
    records: RecordStore, database: Database
) -> None:
    for number, at in enumerate((1000, 1010, 1030, 1020, 1040), 1):
        complete(records, number, at)
    first = whole(records).entries
    for before, left in ((999, [1, 2, 3, 4, 5]), (1000, [2, 3, 4, 5]), (1025, [3, 4, 5])):
        records.ledger.sweep(before)
        assert numbers(records) == left
    # The fourth is due, but stands behind the third, which is not: nothing is cut out.
    assert whole(records).begin.hash == first[1].hash
    assert records.ledger.slice(LedgerFilter(), after=1, limit=9) == whole(records)
    records.ledger.sweep(9999)
    assert numbers(records) == []
    assert whole(records).head.sequence == 5
    complete(records, 6, 1050)
    assert numbers(records) == [6]
    [entry] = whole(records).entries
    assert entry.previous == first[4].hash
    assert LedgerUses(database).begins_at() == 1050


def test_an_erased_key_is_nowhere_and_the_rest_is_as_it_was(records: RecordStore) -> None:
    for number in range(1, 7):
        complete(records, number, 1000, owner="acme" if number % 2 else "other")
    before = whole(records).entries
    assert records.ledger.erase("acme") == 3
    assert records.ledger.erase("acme") == 0
    assert numbers(records) == [1, 2, 3, 4, 5, 6]
    for old, new in zip(before, whole(records).entries, strict=True):
        assert isinstance(old, LedgerEntry)
        assert isinstance(new, LedgerEntry)
        assert new.hash == old.hash
        assert (new == old) == (old.owner == "other")
        assert (new.owner is None) == (new.video_id is None) == (old.owner == "acme")
    found = records.ledger.slice(LedgerFilter(key="acme"), after=0, limit=9)
    assert found is not None
    assert [item.first for item in found.entries if isinstance(item, LedgerEntry)] == []


def test_an_encoder_is_found_by_whole_names_alone(records: RecordStore, database: Database) -> None:
    made = {
        1: {"encoder": an_encoder("no-pogo")},
        2: {"encoder": an_encoder("no-pogo-2")},
        3: {"encoder": an_encoder("no_pogo")},
        4: {"encoder": an_encoder("set"), "members": (an_encoder("no-pogo"), an_encoder("b"))},
        5: {"encoder": an_encoder("a+no-pogo"), "members": (an_encoder("a"), an_encoder("x"))},
        6: {"encoder": None},
    }
    for number, fields in made.items():
        job = records.accept(video(f"video_{number}"), limit=99)
        draft = a_draft(number, video_id=f"video_{number}", **fields)
        records.change(job, status=COMPLETED, completed_at=number, ledger=draft)
    uses = LedgerUses(database)

    def found(name: str) -> list[int]:
        return [entry.sequence for entry in uses.clips(name, after=0, limit=9)[0]]

    assert found("no-pogo") == [1, 4, 5]
    assert found("no_pogo") == [3]
    assert found("id") == found("identity") == found("sha256") == []
    assert found(an_encoder("no-pogo").identity) == [1, 4]
    assert found(an_encoder("b").digest) == [4]
    assert [use.first_at for use in uses.of_encoder("no-pogo")] == [1, 4, 5]
    assert uses.clips("no-pogo", after=1, limit=1)[1]
    with database.reading() as session:
        assert session.query(LedgerRow).count() == 6
