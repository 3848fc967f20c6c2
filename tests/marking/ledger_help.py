"""Helpers of the ledger's tests: chains of any length, and exports of them that are signed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from marking.certificate import make_key_pair
from marking.envelope import sign_envelope
from marking.ledger import (
    GENESIS,
    PAYLOAD_TYPE,
    LedgerConcept,
    LedgerCoverage,
    LedgerDraft,
    LedgerEncoder,
    LedgerEntry,
    LedgerExport,
    LedgerFilter,
    LedgerHead,
    LedgerPage,
    SkippedEntries,
    entered,
    hash_of,
    listing_of,
    statement_of,
)
from marking.signing_key import SigningKey

NOTHING = LedgerHead(sequence=0, hash=GENESIS)


def a_hash(name: object) -> str:
    """Return the hash that stands for some name."""
    return hash_of({"name": str(name)})


def an_encoder(name: str) -> LedgerEncoder:
    """Return an encoder of this id."""
    return LedgerEncoder(id=name, identity=a_hash(name), digest=a_hash(f"tensors of {name}"))


def a_draft(number: int = 1, **changes: Any) -> LedgerDraft:
    """Return a clip to enter."""
    fields: dict[str, Any] = {
        "owner": f"key-{number % 3}",
        "video_id": f"video_{number:032x}",
        "encoder": an_encoder("no-pogo"),
        "concepts": (LedgerConcept(name="pogo", kind="character"),),
        "model": "tiny",
        "base": a_hash("base"),
        "clip": a_hash(number),
    }
    return LedgerDraft(**{**fields, **changes})


@lru_cache(maxsize=2)
def chain(length: int) -> tuple[LedgerEntry, ...]:
    """Return a chain from its first entry on; entry n is at index n - 1."""
    found: list[LedgerEntry] = []
    head = NOTHING
    for number in range(1, length + 1):
        found.append(entered(a_draft(number), 1000 + number, head))
        head = head_of(found)
    return tuple(found)


def head_of(items: Sequence[LedgerEntry | SkippedEntries]) -> LedgerHead:
    """Return the last of some entries as the end of a chain."""
    return LedgerHead(sequence=items[-1].last, hash=items[-1].hash)


@lru_cache(maxsize=1)
def a_key() -> SigningKey:
    """Return the key that the exports are signed with."""
    return another_key()


def another_key() -> SigningKey:
    """Return a new key."""
    pair = make_key_pair("a server")
    return SigningKey.from_pem(pair.private_key, pair.certificates)


def a_page(
    items: Sequence[LedgerEntry | SkippedEntries],
    head: LedgerHead,
    shown: LedgerFilter | None = None,
) -> LedgerPage:
    """Return a signed page of a chain's entries."""
    key = a_key()
    coverage = LedgerCoverage(
        first=items[0].first,
        last=items[-1].last,
        previous=items[0].previous,
        hash=items[-1].hash,
        listing=listing_of(items),
        begin=NOTHING,
        head=head,
        filter=shown or LedgerFilter(),
        exported_at=1_795_900_000,
    )
    return LedgerPage(
        entries=list(items),
        last_sequence=items[-1].last,
        has_more=items[-1].last < head.sequence,
        envelope=sign_envelope(statement_of(coverage), PAYLOAD_TYPE, key),
        certificates=key.certificates,
    )


def an_export(entries: Sequence[LedgerEntry], page: int = 1000) -> LedgerExport:
    """Return a whole chain's export, in pages of so many entries."""
    head = head_of(entries)
    parts = [entries[start : start + page] for start in range(0, len(entries), page)]
    return LedgerExport(pages=[a_page(part, head) for part in parts])


def skipped(entries: Sequence[LedgerEntry]) -> SkippedEntries:
    """Return what a filter leaves of consecutive entries."""
    return SkippedEntries(
        first=entries[0].sequence,
        last=entries[-1].sequence,
        previous=entries[0].previous,
        hash=entries[-1].hash,
    )
