"""The ledger's chain: whatever is changed, removed or moved is found, and named."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marking.errors import MarkInvalid, SigningKeyInvalid
from marking.ledger import (
    LedgerConcept,
    LedgerEntry,
    LedgerFilter,
    LedgerHead,
    SkippedEntries,
    commitment,
    entered,
    forgets,
)
from marking.ledger_check import LedgerFault, check_chain, check_export, read_export
from tests.marking.ledger_help import (
    NOTHING,
    a_draft,
    a_hash,
    a_key,
    a_page,
    an_encoder,
    an_export,
    another_key,
    chain,
    head_of,
    skipped,
)

MANY = 10_000
SMALL = 40


def faults(
    items: Sequence[LedgerEntry | SkippedEntries], length: int
) -> list[tuple[str, int, int]]:
    """Return what is wrong with a chain that had so many entries."""
    found = check_chain(items, after=NOTHING, end=head_of(chain(length)))
    return [(fault.kind, fault.first, fault.last) for fault in found]


def changed(entry: LedgerEntry, **fields: object) -> LedgerEntry:
    return entry.model_copy(update=fields)


def test_ten_thousand_entries_are_checked_in_two_seconds() -> None:
    entries = chain(MANY)
    begun = time.process_time()
    assert faults(entries, MANY) == []
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("seed", range(5))
def test_each_of_ten_thousand_that_is_changed_removed_or_swapped_is_named(seed: int) -> None:
    entries = chain(MANY)
    chosen = random.Random(seed)
    at, low = chosen.randrange(MANY), chosen.randrange(MANY - 1)
    high = chosen.randrange(low + 1, MANY)
    other = [*entries[:at], changed(entries[at], clip=a_hash("other")), *entries[at + 1 :]]
    assert faults(other, MANY) == [("changed", at + 1, at + 1)]
    removed = [*entries[:at], *entries[at + 1 :]]
    assert faults(removed, MANY) == [("missing", at + 1, at + 1)]
    swapped = list(entries)
    swapped[low], swapped[high] = swapped[high], swapped[low]
    assert faults(swapped, MANY) == [("misplaced", low + 1, high + 1)]


FIELDS = st.sampled_from(
    [
        {"clip": a_hash("other")},
        {"completed_at": 7},
        {"encoder": None},
        {"encoder": an_encoder("no-blip")},
        {"members": (an_encoder("no-blip"),)},
        {"concepts": ()},
        {"concepts": (LedgerConcept(name="pogo", kind="person"),)},
        {"model": "another"},
        {"base": a_hash("other base")},
        {"subject": a_hash("other subject")},
        {"previous": a_hash("other entry")},
        {"hash": a_hash("other hash")},
        {"owner": "another-key"},
        {"video_id": "another-video"},
        {"salt": "00"},
    ]
)


@given(at=st.integers(0, SMALL - 1), fields=FIELDS)
def test_whichever_field_is_changed_the_entry_is_named(at: int, fields: dict[str, object]) -> None:
    entries = list(chain(SMALL))
    entries[at] = changed(entries[at], **fields)
    assert faults(entries, SMALL) == [("changed", at + 1, at + 1)]


@given(at=st.integers(0, SMALL - 1))
def test_a_changed_entry_with_a_hash_that_fits_it_is_named(at: int) -> None:
    """An entry can be hashed anew by anybody; the one after it, and the signed end, cannot."""
    entries = list(chain(SMALL))
    other = changed(entries[at], clip=a_hash("other"))
    entries[at] = changed(other, hash=other.computed_hash())
    assert faults(entries, SMALL) == [("changed", at + 1, at + 1)]


@given(at=st.integers(0, SMALL - 2))
def test_a_tail_that_is_made_anew_does_not_reach_the_signed_end(at: int) -> None:
    entries = list(chain(SMALL)[:at])
    head = head_of(entries) if entries else NOTHING
    for number in range(at + 1, SMALL + 1):
        entries.append(entered(a_draft(number, clip=a_hash("x")), 1000 + number, head))
        head = head_of(entries)
    assert ("changed", SMALL, SMALL) in faults(entries, SMALL)


@given(first=st.integers(0, SMALL - 1), count=st.integers(1, SMALL))
def test_missing_runs_and_tails_are_named(first: int, count: int) -> None:
    entries = chain(SMALL)
    end = min(first + count, SMALL)
    left = [*entries[:first], *entries[end:]]
    assert faults(left, SMALL) == [("missing", first + 1, end)]


def test_a_repeated_and_an_added_entry_are_named() -> None:
    entries = chain(SMALL)
    assert ("repeated", 5, 5) in faults([*entries[:5], entries[4], *entries[5:]], SMALL)
    added = entered(a_draft(99), 9999, head_of(entries))
    assert faults([*entries, added], SMALL) == [("changed", SMALL + 1, SMALL + 1)]
    moved = [*entries[1:5], entries[0], *entries[5:]]
    assert {kind for kind, _, _ in faults(moved, SMALL)} == {"misplaced"}


def test_an_erased_entry_still_verifies_and_does_not_tell_whose_it_was() -> None:
    entries = list(chain(SMALL))
    whole = entries[7]
    assert whole.subject == commitment(whole.owner, whole.video_id, whole.salt)
    entries[7] = changed(whole, owner=None, video_id=None, salt=None)
    assert faults(entries, SMALL) == []
    left = entries[7].model_dump_json()
    assert whole.owner is not None
    assert whole.owner not in left
    assert str(whole.video_id) not in left
    assert entered(a_draft(8), 1008, NOTHING).subject != whole.subject  # another salt
    half = [*entries[:7], changed(whole, salt=None), *entries[8:]]
    assert faults(half, SMALL) == [("changed", 8, 8)]


def test_skipped_runs_keep_the_chain() -> None:
    entries = chain(SMALL)
    shown = [skipped(entries[:4]), *entries[4:9], skipped(entries[9:10]), *entries[10:]]
    assert faults(shown, SMALL) == []
    cut = [shown[0], *shown[2:]]
    assert faults(cut, SMALL) == [("missing", 5, 5)]
    other = skipped(entries[9:10]).model_copy(update={"hash": a_hash("other")})
    assert faults([*shown[:6], other, *shown[7:]], SMALL) == [("changed", 10, 10)]


def test_an_export_holds_page_by_page_and_its_sentence_says_so() -> None:
    verdict = check_export(read_export(an_export(chain(SMALL), 7).model_dump_json().encode()))
    assert (verdict.faults, verdict.entries, verdict.first, verdict.last) == ((), SMALL, 1, SMALL)
    assert verdict.sentence.startswith(f"The ledger holds: entries 1 to {SMALL} ({SMALL} shown)")
    assert a_key().key_id in verdict.sentence


def test_a_cut_tail_is_found_by_the_signed_end() -> None:
    export = an_export(chain(SMALL), 10)
    cut = export.model_copy(update={"pages": export.pages[:-1]})
    assert check_export(cut).sentence == (
        f"The ledger does not hold: entries {SMALL - 9} to {SMALL} are missing."
    )
    last = export.pages[-1]
    fewer = last.model_copy(update={"entries": last.entries[:-1]})
    cut = export.model_copy(update={"pages": [*export.pages[:-1], fewer]})
    assert check_export(cut).sentence == f"The ledger does not hold: entry {SMALL} is missing."
    headless = export.model_copy(update={"pages": export.pages[1:]})
    assert check_export(headless).sentence == (
        "The ledger does not hold: entries 1 to 10 are missing."
    )


def test_a_signature_by_another_or_over_something_else_does_not_hold() -> None:
    export = an_export(chain(SMALL), 20)
    page = export.pages[1]
    payload = export.pages[0].envelope["payload"]
    swapped = page.model_copy(update={"envelope": {**page.envelope, "payload": payload}})
    verdict = check_export(export.model_copy(update={"pages": [export.pages[0], swapped]}))
    assert [fault.kind for fault in verdict.faults] == ["signature"]
    assert "page 2" in verdict.sentence
    assert check_export(export, [another_key().certificates, a_key().certificates]).holds
    verdict = check_export(export, [another_key().certificates])
    assert "page 1 was signed by somebody whom you do not trust" in verdict.sentence
    broken = page.model_copy(update={"certificates": "no PEM"})
    verdict = check_export(export.model_copy(update={"pages": [export.pages[0], broken]}))
    assert [fault.kind for fault in verdict.faults] == ["signature"]
    with pytest.raises(SigningKeyInvalid):
        check_export(export, ["no PEM"])


def test_an_entry_that_is_hidden_in_a_run_is_missed_by_the_listing() -> None:
    entries = chain(SMALL)
    export = an_export(entries)
    hidden = [*entries[:4], skipped(entries[4:5]), *entries[5:]]
    page = export.pages[0].model_copy(update={"entries": hidden})
    [fault] = check_export(export.model_copy(update={"pages": [page]})).faults
    assert fault == LedgerFault(
        "listing", 1, 1, "page 1 does not show the entries that the server had put there"
    )
    erased = [*entries[:4], changed(entries[4], owner=None, video_id=None, salt=None), *entries[5:]]
    page = export.pages[0].model_copy(update={"entries": erased})
    [fault] = check_export(export.model_copy(update={"pages": [page]})).faults
    assert fault.kind == "listing"


def test_pages_of_two_exports_do_not_make_one() -> None:
    entries = chain(SMALL)
    head = head_of(entries)
    first = a_page([skipped(entries[:20])], head, LedgerFilter(key="acme"))
    export = an_export(entries, 20).model_copy(
        update={"pages": [first, a_page(entries[20:], head)]}
    )
    [fault] = check_export(export).faults
    assert (fault.kind, fault.first) == ("listing", 2)


def test_a_chain_that_begins_behind_removed_entries_holds() -> None:
    entries = chain(SMALL)
    rest = entries[12:]
    begin = LedgerHead(sequence=12, hash=entries[11].hash)
    assert check_chain(rest, after=begin, end=head_of(entries)) == []
    other = begin.model_copy(update={"hash": a_hash("other")})
    [fault] = check_chain(rest, after=other, end=head_of(entries))
    assert (fault.kind, fault.first) == ("changed", 13)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"format": "other"}'])
def test_what_is_no_export_is_refused(data: bytes) -> None:
    with pytest.raises(MarkInvalid, match="no export of a ledger"):
        read_export(data)


def test_the_hash_is_over_the_documented_form() -> None:
    """Anybody can compute it: sorted keys, no spaces, UTF-8, without what erasing takes out."""
    entry = entered(
        a_draft(1, concepts=(LedgerConcept(name="Pogó", kind="character"),)), 5, NOTHING
    )
    fields = json.loads(entry.model_dump_json())
    for name in ("object", "hash", "owner", "video_id", "salt"):
        del fields[name]
    from hashlib import sha256

    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert entry.hash == f"sha256:{sha256(text.encode()).hexdigest()}"
    assert forgets(entry.concepts, "pogó ", "character")
    assert forgets(entry.concepts, "POGÓ")
    assert not forgets(entry.concepts, "pogó", "person")
    assert not forgets(entry.concepts, "pogo")
