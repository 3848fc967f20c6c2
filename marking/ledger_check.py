"""Checks of a ledger's chain and of its exports: offline, on what is in the file alone.

A chain is checked from its end. The signature vouches for the last hash, each entry for the one
before it; so of a changed entry the hash that comes out is not the one that the next entry has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from marking.envelope import verify_envelope
from marking.errors import MarkInvalid
from marking.ledger import (
    GENESIS,
    PAYLOAD_TYPE,
    LedgerCoverage,
    LedgerEntry,
    LedgerExport,
    LedgerHead,
    LedgerPage,
    SkippedEntries,
    coverage_of,
    listing_of,
)
from marking.signing_key import certificate_of, key_id_of
from marking.trust import TrustedSigners

Items = Sequence[LedgerEntry | SkippedEntries]
Wrong = Literal["changed", "missing", "repeated", "misplaced", "signature", "listing"]

_NAMED = 5
"""Most faults that a sentence names."""


@dataclass(frozen=True)
class LedgerFault:
    """A thing that is wrong with a ledger."""

    kind: Wrong
    first: int
    """Number of the first entry concerned; of a page, its number among the pages."""
    last: int
    text: str
    """The fault in words, without a full stop."""


@dataclass(frozen=True)
class LedgerVerdict:
    """The outcome of checking an export."""

    faults: tuple[LedgerFault, ...]
    entries: int
    """Entries that are shown."""
    first: int
    last: int
    exported_at: int | None
    """Time that the last page's signature vouches for; None: it does not hold."""
    key_ids: tuple[str, ...]
    """Keys whose signatures hold."""

    @property
    def holds(self) -> bool:
        """True if nothing is wrong."""
        return not self.faults

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
        if self.faults:
            named = [fault.text for fault in self.faults[:_NAMED]]
            if len(self.faults) > _NAMED:
                named.append(f"and {len(self.faults) - _NAMED} more faults")
            return f"The ledger does not hold: {'; '.join(named)}."
        signed = datetime.fromtimestamp(self.exported_at or 0, UTC)
        covered = f"entries {self.first} to {self.last}" if self.last >= self.first else "no entry"
        return (
            f"The ledger holds: {covered} ({self.entries} shown), up to the end that the key "
            f"{' and then '.join(self.key_ids)} signed on {signed:%Y-%m-%d at %H:%M:%S} UTC."
        )


def check_export(export: LedgerExport, trusted: Sequence[str] = ()) -> LedgerVerdict:
    """Check an export: its signatures, that no entry is missing, and every hash.

    Args:
        export: The export.
        trusted: Certificates in PEM, of signers or their authorities; none: whoever signed it is
            taken for the server.

    Raises:
        SigningKeyInvalid: A trusted certificate cannot be read.
    """
    for pem in trusted:
        certificate_of(pem)
    key_ids: list[str] = []
    faults: list[LedgerFault] = []
    signed: list[LedgerCoverage | None] = []
    for number, page in enumerate(export.pages, 1):
        try:
            payload = verify_envelope(page.envelope, page.certificates, PAYLOAD_TYPE)
            signed.append(coverage_of(payload))
            key_ids.append(key_id_of(certificate_of(page.certificates)))
            if trusted and not TrustedSigners.of(trusted).knows(certificate_of(page.certificates)):
                text = "page {} was signed by somebody whom you do not trust"
                faults.append(_of_page("signature", number, text))
        except ValueError:
            signed.append(None)
            faults.append(_of_page("signature", number, "the signature of page {} does not hold"))
    items = [item for page in export.pages for item in page.entries]
    first, last = signed[0], signed[-1]
    faults += check_chain(
        items,
        after=None if first is None else first.begin,
        end=None if last is None else last.head,
    )
    if not faults:
        faults = _check_pages(export.pages, [one for one in signed if one is not None])
    return LedgerVerdict(
        faults=tuple(faults),
        entries=sum(isinstance(item, LedgerEntry) for item in items),
        first=first.begin.sequence + 1 if first else 1,
        last=last.head.sequence if last else 0,
        exported_at=last.exported_at if last else None,
        key_ids=tuple(dict.fromkeys(key_ids)),
    )


def check_chain(
    items: Items, *, after: LedgerHead | None = None, end: LedgerHead | None = None
) -> list[LedgerFault]:
    """Return what is wrong with a chain, by the numbers of its entries.

    Args:
        items: The entries, in the order in which they are listed.
        after: The entry before the first, as far as it is vouched for.
        end: The last entry that there has to be, as far as it is vouched for.
    """
    in_order = sorted(items, key=lambda item: (item.first, item.last))
    faults = _misplaced(items, in_order)
    faults += _missing_and_repeated(in_order, after, end)
    faults += _changed(in_order, after, end)
    return sorted(faults, key=lambda fault: fault.first)


def _misplaced(items: Items, in_order: Items) -> list[LedgerFault]:
    moved = [a for a, b in zip(items, in_order, strict=True) if a is not b]
    if len(moved) == 2:
        low, high = sorted(item.first for item in moved)
        return [LedgerFault("misplaced", low, high, f"entries {low} and {high} are swapped")]
    return [_of_item("misplaced", item, "stands in the wrong place") for item in moved]


def _missing_and_repeated(
    items: Items, after: LedgerHead | None, end: LedgerHead | None
) -> list[LedgerFault]:
    faults: list[LedgerFault] = []
    expected = after.sequence + 1 if after else (items[0].first if items else 1)
    for item in items:
        if item.first > expected:
            faults.append(_missing(expected, item.first - 1))
        elif item.first < expected:
            faults.append(_of_item("repeated", item, "is there twice"))
        expected = max(expected, item.last + 1)
    if end is not None and end.sequence >= expected:
        faults.append(_missing(expected, end.sequence))
    elif end is not None and end.sequence < expected - 1:
        text = f"entries after {end.sequence}, the signed end, were added"
        faults.append(LedgerFault("changed", end.sequence + 1, expected - 1, text))
    return faults


def _changed(items: Items, after: LedgerHead | None, end: LedgerHead | None) -> list[LedgerFault]:
    """Return the entries whose hash is not what the entry after them, or the signature, says."""
    faults: list[LedgerFault] = []
    wanted = end.hash if end and items and items[-1].last == end.sequence else None
    for item, earlier in zip(reversed(items), [*items[-2::-1], None], strict=False):
        found = item.computed_hash()
        is_whole = found == item.hash and (wanted is None or found == wanted)
        if not is_whole:
            faults.append(_of_item("changed", item, "was changed"))
        elif isinstance(item, LedgerEntry) and not item.is_of_subject():
            faults.append(_of_item("changed", item, "names another key or video than it was made"))
        if earlier is None:
            before = after if after and after.sequence == item.first - 1 else None
            stated = before.hash if before else GENESIS
            if is_whole and (before or item.first == 1) and item.previous != stated:
                faults.append(_of_item("changed", item, "does not follow the entry before it"))
        wanted = item.previous if is_whole and earlier and earlier.last == item.first - 1 else None
    return faults


def _check_pages(
    pages: Sequence[LedgerPage], signed: Sequence[LedgerCoverage]
) -> list[LedgerFault]:
    """Return what is wrong with the pages of an unbroken chain: what was taken out of the view."""
    faults: list[LedgerFault] = []
    for number, (page, coverage) in enumerate(zip(pages, signed, strict=True), 1):
        if coverage.filter != signed[0].filter:
            faults.append(_of_page("listing", number, "page {} is of another export"))
        elif coverage.listing != listing_of(page.entries):
            text = "page {} does not show the entries that the server had put there"
            faults.append(_of_page("listing", number, text))
    return faults


def _missing(first: int, last: int) -> LedgerFault:
    text = (
        f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"
    )
    return LedgerFault("missing", first, last, text)


def _of_item(kind: Wrong, item: LedgerEntry | SkippedEntries, text: str) -> LedgerFault:
    if isinstance(item, LedgerEntry):
        return LedgerFault(kind, item.first, item.last, f"entry {item.first} {text}")
    words = f"what is said of the entries {item.first} to {item.last}, which are not shown, {text}"
    return LedgerFault(kind, item.first, item.last, words)


def _of_page(kind: Wrong, number: int, text: str) -> LedgerFault:
    return LedgerFault(kind, number, number, text.format(number))


def read_export(data: bytes) -> LedgerExport:
    """Read the file of an export.

    Raises:
        MarkInvalid: It is none.
    """
    try:
        return LedgerExport.model_validate_json(data)
    except ValueError as error:
        raise MarkInvalid(f"This is no export of a ledger: {_reason(error)}") from error


def _reason(error: ValueError) -> str:
    return str(error).replace("\n", " ")[:200]
