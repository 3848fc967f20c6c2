"""Rows of the ledger: an entry for each completed video, and where removed entries ended."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from marking.ledger import LedgerEntry, LedgerHead
from server.storage.schema import Base


class LedgerRow(Base):
    """An entry.

    Only erasing a tenant changes a row: it empties owner, video and salt, which no hash covers.
    """

    __tablename__ = "ledger"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner: Mapped[str | None] = mapped_column(index=True)
    """Id of the key; None: it was erased."""
    video_id: Mapped[str | None] = mapped_column(unique=True)
    salt: Mapped[str | None]
    subject: Mapped[str]
    encoder_id: Mapped[str | None]
    """None: the base."""
    encoder_identity: Mapped[str | None]
    encoder_digest: Mapped[str | None]
    members: Mapped[list[Any]]
    """Encoders of a set: id, identity and digest of each."""
    concepts: Mapped[list[Any]]
    """Concepts that are forgotten: name and kind of each."""
    model: Mapped[str]
    base: Mapped[str]
    clip: Mapped[str] = mapped_column(index=True)
    """`sha256:…` of the mp4 as it is delivered."""
    completed_at: Mapped[int] = mapped_column(index=True)
    version: Mapped[int]
    """Version of the hashed form."""
    previous: Mapped[str]
    hash: Mapped[str]

    @classmethod
    def of(cls, entry: LedgerEntry) -> LedgerRow:
        """Return the row of an entry."""
        fields = entry.model_dump(mode="json", exclude={"object", "encoder"})
        encoder = entry.encoder
        return cls(
            **fields,
            encoder_id=encoder and encoder.id,
            encoder_identity=encoder and encoder.identity,
            encoder_digest=encoder and encoder.digest,
        )

    def entry(self) -> LedgerEntry:
        """Return the entry as it is stored. Of a row that was changed, its hash does not fit."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in _STORED_AS_THEY_ARE}
        encoder = {"id": self.encoder_id, "identity": self.encoder_identity}
        fields["encoder"] = (
            None if self.encoder_id is None else {**encoder, "digest": self.encoder_digest}
        )
        return LedgerEntry.model_validate(fields)


_STORED_AS_THEY_ARE = LedgerEntry.model_fields.keys() & set(LedgerRow.__table__.columns.keys())


class LedgerCheckpointRow(Base):
    """The last entry that was removed after its time: the rest of the chain begins there."""

    __tablename__ = "ledger_checkpoints"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[str]
    completed_at: Mapped[int]

    @property
    def head(self) -> LedgerHead:
        """The entry, as the head of the chain that was removed."""
        return LedgerHead(sequence=self.sequence, hash=self.hash)
