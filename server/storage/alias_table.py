"""The table of aliases: names that stand for encoders, and can be pointed elsewhere."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from encoders import AliasNotFound, EncoderExists, EncoderNotFound, InvalidId, check_id
from server.storage.alias_rows import AliasRow
from server.storage.database import Database
from server.storage.records import PENDING, PUBLISHED, EncoderRecord
from server.storage.upserts import insert_into

if TYPE_CHECKING:
    from encoders.store import EncoderStore


class AliasTable:
    """The aliases of one server.

    A name is an encoder's id or an alias, never both: `RecordStore.accept` refuses an encoder job
    whose id is an alias, and `point` an alias that is the id of an encoder or of a pending job.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def point(self, name: str, encoder_id: str, store: EncoderStore) -> None:
        """Point an alias to a published encoder; it may have pointed to another before.

        Raises:
            EncoderNotFound: No encoder has this id. An alias cannot point to an alias.
            EncoderExists: `name` is the id of an encoder, or of one that is being made.
            InvalidId: `name` cannot be an alias.
        """
        check_id(name, param="name")
        try:
            store.card(encoder_id)
        except EncoderNotFound as error:
            if self.target(encoder_id) is None:
                raise
            raise EncoderNotFound(
                f"{encoder_id!r} is an alias: an alias points to a published encoder only.",
                param="encoder",
            ) from error
        if _is_published(name, store):
            raise _taken(name)
        job = select(EncoderRecord.status).where(EncoderRecord.id == name)
        row = {"encoder_id": encoder_id, "changed_at": int(time.time())}
        with self._database.writing() as session:
            status = session.scalar(job)
            if status in PENDING:
                raise EncoderExists(
                    f"{name!r} is the id of an encoder that is being made.", param="name"
                )
            if status == PUBLISHED and _is_published(name, store):  # since it was looked for above
                raise _taken(name)
            session.execute(
                insert_into(session, AliasRow)
                .values(name=name, **row)
                .on_conflict_do_update(index_elements=[AliasRow.name], set_=row)
            )

    def all(self) -> dict[str, str]:
        """Return alias → the encoder id that it points to, sorted by alias."""
        return {row.name: row.encoder_id for row in self.rows()}

    def rows(self) -> Sequence[AliasRow]:
        """Return every alias with the time since when it points there, sorted by alias."""
        with self._database.reading() as session:
            return session.scalars(select(AliasRow).order_by(AliasRow.name)).all()

    def targets(self, names: Collection[str]) -> dict[str, str]:
        """Return alias → the encoder id that it points to, for the aliases among the names."""
        with self._database.reading() as session:
            rows = session.scalars(select(AliasRow).where(AliasRow.name.in_(names))).all()
        return {row.name: row.encoder_id for row in rows}

    def target(self, name: str) -> str | None:
        """Return the encoder id that an alias points to; None if there is no such alias."""
        return self.targets([name]).get(name)

    def resolve(self, name: str, store: EncoderStore) -> str:
        """Return the id of the encoder that an id or an alias names.

        Raises:
            EncoderNotFound: The name is neither an encoder's nor an alias's, or the alias's encoder
                was deleted.
        """
        return self.resolve_all([name], store)[0]

    def resolve_all(self, names: Sequence[str], store: EncoderStore) -> list[str]:
        """Return the ids that several names stand for, in their order; the table is read once.

        Raises:
            EncoderNotFound: As `resolve`, for one of them.
        """
        unpublished = [
            name for name in names if not _is_published(check_id(name, param="encoder"), store)
        ]
        targets = self.targets(unpublished) if unpublished else {}
        for name in unpublished:
            if name not in targets:
                raise EncoderNotFound(f"There is no encoder {name!r}.", param="encoder")
            if not _is_published(targets[name], store):
                raise EncoderNotFound(
                    f"Alias {name!r} points to {targets[name]!r}, which is no encoder, or no "
                    "longer one.",
                    param="encoder",
                )
        return [targets.get(name, name) for name in names]

    def delete(self, name: str) -> None:
        """Remove an alias; the encoder that it points to stays.

        Raises:
            AliasNotFound: There is no alias of that name.
        """
        with self._database.writing() as session:
            done = session.execute(delete(AliasRow).where(AliasRow.name == name))
            if not done.rowcount:  # pyright: ignore[reportAttributeAccessIssue]
                raise AliasNotFound(f"There is no alias {name!r}.", param="name")

    def add_missing(self, aliases: Mapping[str, str]) -> None:
        """Add the aliases that the table does not have, all in one transaction."""
        with self._database.writing() as session:
            for name, encoder_id in aliases.items():
                session.execute(
                    insert_into(session, AliasRow)
                    .values(name=name, encoder_id=encoder_id, changed_at=int(time.time()))
                    .on_conflict_do_nothing()
                )


def _taken(name: str) -> EncoderExists:
    return EncoderExists(
        f"{name!r} is an encoder's id: an alias needs a name of its own.", param="name"
    )


def _is_published(encoder_id: str, store: EncoderStore) -> bool:
    try:
        store.card(encoder_id)
    except (EncoderNotFound, InvalidId):
        return False
    return True
