"""The table of deleted videos. `RecordStore.remove` writes its rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select

from server.storage.database import Database
from server.storage.deleted_video_rows import DeletedVideoRow


class DeletedVideoTable:
    """The records of deleted videos. Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, video_id: str) -> DeletedVideoRow | None:
        """Return the record of a deleted video, or None."""
        with self._database.reading() as session:
            found = select(DeletedVideoRow).where(DeletedVideoRow.id == video_id)
            return session.scalars(found).first()

    def page(
        self, owner: str | None, *, after: str | None, limit: int, descending: bool
    ) -> tuple[Sequence[DeletedVideoRow], bool] | None:
        """Return up to `limit` rows that follow the video `after`, and True if there are more.

        Args:
            owner: The key whose videos are listed; None for those of all keys.
            after: Id of a listed video; None begins the list.
            limit: The most rows to return.
            descending: True for the latest deletion first.

        Returns:
            None if the list has no video `after`.
        """
        sequence = DeletedVideoRow.sequence
        listed: list[ColumnElement[bool]] = []
        if owner is not None:
            listed.append(DeletedVideoRow.owner == owner)
        with self._database.reading() as session:
            rows = select(DeletedVideoRow).where(*listed)
            if after is not None:
                start = session.scalar(select(sequence).where(*listed, DeletedVideoRow.id == after))
                if start is None:
                    return None
                rows = rows.where(sequence < start if descending else sequence > start)
            rows = rows.order_by(sequence.desc() if descending else sequence.asc())
            found = session.scalars(rows.limit(limit + 1)).all()
            return found[:limit], len(found) > limit

    def sweep(self, before: int) -> None:
        """Remove the records of videos that were deleted at this time or earlier."""
        with self._database.writing() as session:
            session.execute(delete(DeletedVideoRow).where(DeletedVideoRow.deleted_at <= before))

    def erase(self, owner: str) -> int:
        """Remove every record of a key's deleted videos, and return their number."""
        with self._database.writing() as session:
            done = session.execute(delete(DeletedVideoRow).where(DeletedVideoRow.owner == owner))
            return int(done.rowcount)  # pyright: ignore[reportAttributeAccessIssue]
