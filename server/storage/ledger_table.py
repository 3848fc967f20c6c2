"""The table of the ledger. `RecordStore.change` appends in the transaction that ends a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, cast, delete, func, literal, or_, select, update
from sqlalchemy.orm import Session

from marking.ledger import (
    GENESIS,
    LedgerDraft,
    LedgerEntry,
    LedgerFilter,
    LedgerHead,
    SkippedEntries,
    entered,
)
from server.storage.database import Database
from server.storage.ledger_rows import LedgerCheckpointRow, LedgerRow


@dataclass(frozen=True)
class LedgerSlice:
    """A part of the chain, in which every entry is shown or in a skipped run."""

    entries: Sequence[LedgerEntry | SkippedEntries]
    after: LedgerHead
    """The entry before the part."""
    end: LedgerHead
    """The part's last entry; `after` if it has none."""
    begin: LedgerHead
    """The entry before the oldest one that is left."""
    head: LedgerHead
    """The end of the whole chain."""


class LedgerTable:
    """The ledger's entries. Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def slice(self, shown: LedgerFilter, *, after: int, limit: int) -> LedgerSlice | None:
        """Return the part of the chain that follows an entry, with up to `limit` entries shown.

        Args:
            shown: The entries to show.
            after: Number of an entry; 0, or that of a removed one, begins with what is left.
            limit: The most entries to show.

        Returns:
            None if there is no entry `after`.
        """
        with self._database.reading() as session:
            begin, head = _checkpoint(session), head_of(session)
            start = begin
            if after > begin.sequence:
                row = session.get(LedgerRow, after)
                if row is None:
                    return None
                start = LedgerHead(sequence=row.sequence, hash=row.hash)
            rows = session.scalars(
                select(LedgerRow)
                .where(LedgerRow.sequence > start.sequence, *conditions_of(shown))
                .order_by(LedgerRow.sequence)
                .limit(limit + 1)
            ).all()
        found = [row.entry() for row in rows[:limit]]
        end = head
        if len(rows) > limit:
            end = LedgerHead(sequence=found[-1].sequence, hash=found[-1].hash)
        return LedgerSlice(_with_skipped(found, start, end), start, end, begin, head)

    def of_video(self, video_id: str) -> LedgerRow | None:
        """Return the entry of a video, or None."""
        with self._database.reading() as session:
            return session.scalar(select(LedgerRow).where(LedgerRow.video_id == video_id))

    def of_clip(self, sha256: str) -> LedgerRow | None:
        """Return the latest entry of an mp4 with this SHA-256, in hex; None if there is none."""
        found = select(LedgerRow).where(LedgerRow.clip == f"sha256:{sha256}")
        with self._database.reading() as session:
            return session.scalars(found.order_by(LedgerRow.sequence.desc())).first()

    def latest_videos(self, limit: int) -> Sequence[str]:
        """Return the ids of the latest videos, newest first, those that were deleted too."""
        found = select(LedgerRow.video_id).where(LedgerRow.video_id.is_not(None))
        with self._database.reading() as session:
            rows = session.scalars(found.order_by(LedgerRow.sequence.desc()).limit(limit))
            return [row for row in rows if row is not None]

    def erase(self, owner: str) -> int:
        """Take a key and its videos out of the entries, and return the number of entries.

        The entries stay, and so do their hashes: what is taken out is not hashed, and without the
        salt the commitment does not tell it.
        """
        nothing = {"owner": None, "video_id": None, "salt": None}
        with self._database.writing() as session:
            done = session.execute(
                update(LedgerRow).where(LedgerRow.owner == owner).values(**nothing)
            )
            return int(done.rowcount)  # pyright: ignore[reportAttributeAccessIssue]

    def sweep(self, before: int) -> None:
        """Remove the oldest entries, as long as they were made at this time or earlier.

        The last removed one's hash stays, as the checkpoint from which the rest is chained.
        """
        with self._database.writing() as session:
            # A clock that was set back leaves an entry that is due behind one that is not.
            first_kept = session.scalar(
                select(func.min(LedgerRow.sequence)).where(LedgerRow.completed_at > before)
            )
            due = LedgerRow.sequence < first_kept if first_kept is not None else None
            last = select(LedgerRow).order_by(LedgerRow.sequence.desc()).limit(1)
            row = session.scalar(last if due is None else last.where(due))
            if row is None:
                return
            session.execute(delete(LedgerCheckpointRow))
            checkpoint = {name: getattr(row, name) for name in ("sequence", "hash", "completed_at")}
            session.add(LedgerCheckpointRow(**checkpoint))
            session.execute(delete(LedgerRow).where(LedgerRow.sequence <= row.sequence))


def append(session: Session, draft: LedgerDraft, completed_at: int) -> None:
    """Enter a clip, in a transaction that writes: no other can append before it ends."""
    session.add(LedgerRow.of(entered(draft, completed_at, head_of(session))))


def head_of(session: Session) -> LedgerHead:
    """Return the end of the chain."""
    row = session.execute(
        select(LedgerRow.sequence, LedgerRow.hash).order_by(LedgerRow.sequence.desc()).limit(1)
    ).first()
    return _checkpoint(session) if row is None else LedgerHead(sequence=row[0], hash=row[1])


def conditions_of(shown: LedgerFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of the entries that a filter shows."""
    found: list[ColumnElement[bool]] = []
    if shown.since is not None:
        found.append(LedgerRow.completed_at >= shown.since)
    if shown.until is not None:
        found.append(LedgerRow.completed_at <= shown.until)
    if shown.key is not None:
        found.append(LedgerRow.owner == shown.key)
    if shown.encoder is not None:
        found.append(made_with(shown.encoder))
    return found


def made_with(encoder: str) -> ColumnElement[bool]:
    """Return the condition of clips that were made with an encoder, alone or in a set.

    Args:
        encoder: Its id, identity or digest. Of a set that a request put together, the ids of what
            it named count too.
    """
    members = cast(LedgerRow.members, String)
    if encoder.startswith("sha256:"):
        return or_(
            LedgerRow.encoder_identity == encoder,
            LedgerRow.encoder_digest == encoder,
            members.contains(f'"{encoder}"', autoescape=True),
        )
    return or_(
        literal("+")
        .concat(LedgerRow.encoder_id)
        .concat("+")
        .contains(f"+{encoder}+", autoescape=True),
        members.contains(f'"id": "{encoder}"', autoescape=True),
    )


def _checkpoint(session: Session) -> LedgerHead:
    row = session.scalar(select(LedgerCheckpointRow))
    return LedgerHead(sequence=0, hash=GENESIS) if row is None else row.head


def _with_skipped(
    found: Sequence[LedgerEntry], start: LedgerHead, end: LedgerHead
) -> list[LedgerEntry | SkippedEntries]:
    """Return entries with the runs between them that are not shown."""
    items: list[LedgerEntry | SkippedEntries] = []
    at = start
    for entry in found:
        if entry.sequence > at.sequence + 1:
            items.append(_skipped(at, LedgerHead(sequence=entry.sequence - 1, hash=entry.previous)))
        items.append(entry)
        at = LedgerHead(sequence=entry.sequence, hash=entry.hash)
    if end.sequence > at.sequence:
        items.append(_skipped(at, end))
    return items


def _skipped(at: LedgerHead, to: LedgerHead) -> SkippedEntries:
    return SkippedEntries(first=at.sequence + 1, last=to.sequence, previous=at.hash, hash=to.hash)
