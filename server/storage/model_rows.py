"""The row of the published model: what servers without it need to take requests."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from server.storage.schema import Base


class PublishedModelRow(Base):
    """The model that the workers on the database have. There is one row at most."""

    __tablename__ = "published_model"

    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Always 1."""
    identity: Mapped[str]
    """The model's, as the rows of replicas have it."""
    document: Mapped[str]
    """JSON of `server.served_model.PublishedModel`."""
